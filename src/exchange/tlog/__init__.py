"""The Merkle log as arithmetic: tree, notes, checkpoints, cosignatures, receipts, names. No keys, no disk."""

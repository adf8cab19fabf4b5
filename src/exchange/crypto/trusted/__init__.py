"""What a node is told to rely on: cards, trust sets, proofs of keys that succeed others."""

"""How calls reach a peer that can not be dialled."""

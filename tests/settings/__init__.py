"""The node file."""

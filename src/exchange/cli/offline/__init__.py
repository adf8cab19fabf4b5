"""Offline commands: they need neither a node nor its files."""

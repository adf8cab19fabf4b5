"""Whose keys count, what the logs tell of others, and what they signed."""

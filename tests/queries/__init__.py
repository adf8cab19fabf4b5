"""Queries without a port: tokens, counts, and the same answers on both databases."""

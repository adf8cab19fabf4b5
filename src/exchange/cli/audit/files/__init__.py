"""Verbs that read a node's own files, by its node file."""

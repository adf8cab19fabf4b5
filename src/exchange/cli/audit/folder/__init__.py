"""Verbs that read an exported folder, offline."""

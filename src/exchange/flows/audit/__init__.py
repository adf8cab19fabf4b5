"""Audit: what the logs prove, read, kept and shown."""

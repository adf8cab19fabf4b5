"""Auditors at work."""

"""Verifying an exported folder offline, claim by claim."""

"""Whose keys are relied on: announced, confirmed, revoked; verdicts on what they signed."""

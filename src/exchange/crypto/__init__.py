"""Bytes in, signatures and verdicts out. No clock, no disk, no net."""

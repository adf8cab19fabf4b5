"""Rotations of keys."""

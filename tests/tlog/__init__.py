"""Tests of the Merkle log as arithmetic."""

"""HJ 212 packets."""

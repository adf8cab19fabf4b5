"""Auditing: walking exported logs again, and laying two sides beside each other."""

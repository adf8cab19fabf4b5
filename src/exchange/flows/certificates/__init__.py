"""Certificates and trust of a running node: taken while it runs, and who was seen on which."""

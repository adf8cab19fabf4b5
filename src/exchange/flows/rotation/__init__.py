"""Rotations of the node's own keys: the steps, the drivers that know one kind of key each, and the report."""

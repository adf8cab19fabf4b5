"""Bytes of strangers at every parser: what may leave is a value or one of our own errors, nothing else."""

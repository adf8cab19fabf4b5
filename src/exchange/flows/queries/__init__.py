"""Answering questions: one consistent view, what the caller may see, and how fresh it is."""

"""Answering questions: each query reads one consistent view, shows what the caller may see, and says how fresh it is."""

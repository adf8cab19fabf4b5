"""Logs and what is proven of them: entries, heads, the journal, witnessed heads, time stamps; checked and put back."""

"""The audit folder: how logs lie on a disk that is handed over, and how it is read by who trusts nothing of it."""

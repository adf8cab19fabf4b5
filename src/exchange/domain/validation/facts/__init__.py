"""Facts that the receiving region decides about."""

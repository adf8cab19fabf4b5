"""Reference tables: read strictly, checked once, each with its edition, source and status."""

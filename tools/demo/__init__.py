"""`make demo`: a day between two nodes."""

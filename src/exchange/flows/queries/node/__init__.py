"""What the node tells of itself: its state, its counts, its logs."""

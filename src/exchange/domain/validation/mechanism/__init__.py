"""What the mechanism itself needs."""

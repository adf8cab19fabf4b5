"""What the registers say, on what ground, and what is answered to it."""

"""What asks the other side for something, or tells it what was done."""

"""What a side's table files say: read, checked, and asked for by their names."""

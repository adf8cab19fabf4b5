"""What the security officer sees and does: agencies, keys, trust."""

"""Recognition as rules that are data: facts, tests, editions, decisions."""

"""What an exported folder tells of the exchange, for a report that people read."""

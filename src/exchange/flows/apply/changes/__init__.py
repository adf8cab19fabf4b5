"""From one ruled entry to row changes."""

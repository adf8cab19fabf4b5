"""What every query stands on: who asks, in what words, page by page, complete up to when."""

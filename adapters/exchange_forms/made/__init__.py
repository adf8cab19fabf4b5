"""Made-up firms and documents: samples, and volume. Nothing in it is real."""

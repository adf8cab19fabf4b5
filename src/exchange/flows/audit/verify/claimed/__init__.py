"""One file for what a single claim needs beyond entries and signatures."""

"""What auditors read of a running node, and the lines that it leaves in the journal."""

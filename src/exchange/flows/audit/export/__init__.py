"""Writing the audit folder from a node's database, while the node runs or stands still."""

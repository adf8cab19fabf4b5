"""Databases as such: connections, the one writer and its transactions, migrations, backups, databases to throw away."""

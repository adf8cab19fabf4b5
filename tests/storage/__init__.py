"""Tests of the tables, the writer, the logs and their upkeep, on SQLite and PostgreSQL."""

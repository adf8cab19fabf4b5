"""Alembic's revisions of the tables, run by ``exchange.storage.migrate`` and packaged with the program."""

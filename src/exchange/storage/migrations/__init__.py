"""Alembic's revisions of the tables, run by ``exchange.storage.engine.migrate`` and packaged with the program."""

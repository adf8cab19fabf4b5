"""Alembic's revisions of the tables, run by ``exchange.storage.engine.upgrade`` and packaged with the program."""

"""What every table stands on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

# SQLite gives a rowid only to a column that is declared exactly INTEGER PRIMARY KEY.
SERIAL = BigInteger().with_variant(Integer, "sqlite")

"""What Alembic runs for each command: always on a connection that the caller opened, in one transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from exchange.storage.schema import metadata


def run(connection: Connection) -> None:
    """Run the revisions that were asked for."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        # SQLite can not alter a column: Alembic then makes the table anew and copies it.
        render_as_batch=connection.dialect.name == "sqlite",
        # Our connections begin transactions themselves, so DDL is rolled back on SQLite too: all revisions or none.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])

"""Write a revision of the tables: the difference between the newest revision and ``storage/schema/``.

Usage: python tools/new_migration.py MESSAGE        a further revision
       python tools/new_migration.py --initial      the first one, written anew (only before a release)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import SCRIPTS, migrate
from exchange.storage.engine.upgrade import config

INITIAL = "0001"


def main(arguments: list[str]) -> int:
    """Write the file and print its path."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    versions = SCRIPTS / "versions"
    initial = arguments[0] == "--initial"
    if initial:
        for file in versions.glob("*.py"):
            file.unlink()
    number = INITIAL if initial else f"{len(list(versions.glob('0*.py'))) + 1:04}"
    message = "The first tables" if initial else arguments[0]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        if not initial:
            migrate(url)
        database = Database(url)
        with database.writer_connection() as connection, connection.begin():
            made = command.revision(config(connection), message, autogenerate=True, rev_id=number)
        database.dispose()
    written = Path(made.path)  # type: ignore[union-attr]
    named = versions / f"{number}_{'initial' if initial else arguments[0].lower().replace(' ', '_')[:40]}.py"
    lines = written.read_text().splitlines(keepends=True)
    written.unlink()
    named.write_text("".join(line for line in lines if "# ### " not in line))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(named)], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "check", "--quiet", "--fix", str(named)], check=False)
    print(named)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

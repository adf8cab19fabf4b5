"""A region's files made by the command line itself, a node that answers as told, and a way to run commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.cli.texts import forget_language
from tests.cli.fake_node import FakeNode

AUTHORITY = ("--authority-uscc", "11500000MB1614741U", "--authority-name", "重庆市生态环境局")


@dataclass(frozen=True, slots=True)
class Run:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as one JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: object, lang: str = "en", given: str | None = None) -> Run:
    """Run a command in this process."""
    result = CliRunner().invoke(app, ["--lang", lang, *map(str, arguments)], input=given)
    forget_language()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(status=result.exit_code, out=result.stdout, err=result.stderr)


def init(folder: Path, name: str = "cq", *more: object) -> Run:
    """Make a node's folder."""
    return run(
        "init", folder, "--name", name, "--domain", "exchange.example", *AUTHORITY, "--area", "50", "--duty-desk",
        "值班室 000", "--peer", "sc=127.0.0.1:9443" if name == "cq" else "cq=127.0.0.1:9443", *more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with development sets of cq and sc."""
    folder = tmp_path_factory.mktemp("regions")
    made = run("pki", "dev", folder, "--node", "cq", "--node", "sc")
    assert made.status == 0
    return folder


@pytest.fixture(scope="session")
def served(regions: Path) -> Iterator[FakeNode]:
    """The node of cq, serving."""
    node = FakeNode(regions / "cq" / "keys" / "tls.pem", regions / "cq" / "trust" / "own" / "tls-roots.pem")
    yield node
    node.stop()


@pytest.fixture
def node(served: FakeNode) -> FakeNode:
    """The node of cq, with nothing to say yet."""
    served.answers.clear()
    served.requests.clear()
    return served


@pytest.fixture
def profile(node: FakeNode, regions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An agency's profile for that node; also the one that is found when none is named."""
    clients = regions / "cq" / "clients"
    path = tmp_path / "profile.toml"
    path.write_text(
        f'address = "localhost:{node.port}"\nca = "{clients}/ca.pem"\n'
        f'cert = "{clients}/agency-bureau.pem"\nkey = "{clients}/agency-bureau.key"\n'
    )
    monkeypatch.setenv("EXCHANGE_PROFILE", str(path))
    return path


@pytest.fixture
def no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile anywhere."""
    monkeypatch.delenv("EXCHANGE_PROFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

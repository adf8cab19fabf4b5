"""The pure layers ask nobody: what import contracts cannot see is looked for in their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "exchange"
PURE = ("domain", "crypto", "tlog")

CLOCK = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns"}
CHANCE = {"token_bytes", "token_hex", "randbits", "uuid1", "uuid4", "uuid6", "uuid7", "urandom"}
WORLD = {"open", "print", "input", "breakpoint", "exec", "eval", "__import__"}
DISK = {"read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir"}

MODULES = sorted(path for layer in PURE for path in (SOURCE / layer).rglob("*.py"))
ALL_MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.parent.name != "v1")


def impurities(source: str, *, chance: bool = False) -> Iterator[str]:
    """What a module calls of the clock, the disk, the terminal or, unless allowed, of chance."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            bare = isinstance(called, ast.Name)
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            if (bare and name in WORLD) or name in CLOCK | DISK or (name in CHANCE and not chance):
                yield f"line {node.lineno}: {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_pure_module_asks_nobody(path: Path) -> None:
    """No clock, no disk, no terminal; keys and salts are drawn in crypto and nowhere else."""
    chance = path.parent.name == "crypto"
    assert list(impurities(path.read_text(encoding="utf-8"), chance=chance)) == []


@pytest.mark.parametrize(
    "line",
    ["datetime.now(UTC)", "date.today()", "open('x')", "print(1)", "uuid.uuid4()", "Path('x').read_text()", "now()"],
)
def test_the_look_finds_what_it_is_for(line: str) -> None:
    """Each kind of impure call is found, so that the tests above can fail."""
    assert len(list(impurities(f"def f():\n    return {line}\n"))) == 1


def test_chance_is_allowed_where_it_is_said() -> None:
    """With leave, a drawn salt is no finding; the clock still is."""
    assert list(impurities("secrets.token_bytes(32)", chance=True)) == []
    assert list(impurities("datetime.now(UTC)", chance=True)) == ["line 1: now"]


def test_service_stubs_are_imported_in_rpc_only() -> None:
    """A stub or servicer of gRPC outside ``rpc`` would carry the wire into other layers."""
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in ALL_MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name.endswith("_pb2_grpc")
    }
    assert {path for path in found if not path.startswith("rpc/")} == set()
    assert found, "the look sees no import at all"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(alias.name for alias in node.names)]
    return []

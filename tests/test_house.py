"""The house itself: what is committed, what the texts promise, and whether tables, locks and docs agree."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REASONS = ROOT / "src" / "exchange" / "tables" / "reasons.toml"
TEXTS = ("zh", "en", "remedy_zh", "remedy_en")


@cache
def committed() -> dict[str, str]:
    """Every committed or staged file that is text, by its path; binary samples are left out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607
    texts: dict[str, str] = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return texts


@cache
def project() -> dict[str, Any]:
    """``pyproject.toml``."""
    return tomllib.loads(committed()["pyproject.toml"])


@cache
def reasons() -> dict[str, dict[str, str]]:
    """The table of reasons."""
    return tomllib.loads(REASONS.read_text(encoding="utf-8"))


@cache
def our_python() -> tuple[ast.Module, ...]:
    """The syntax trees of all code that is shipped and not generated."""
    folders = (ROOT / "src" / "exchange", ROOT / "adapters")
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py")) if path.parent.name != "v1"]
    return tuple(ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"),
        ("an age or minisign secret", r"AGE-SECRET-KEY-1[A-Z0-9]{8}|minisign encrypted sec[r]et"),
        ("a home folder", r"(?<![\w.])/(?:root|home/[a-z]\w*)/"),
        ("an unfinished place", r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
        ("a merge that was not finished", r"^(?:<{7}|>{7}) "),
    ],
)
def test_nothing_private_or_unfinished_is_committed(what: str, pattern: str) -> None:
    """No secret, machine path or loose end stands in any committed text."""
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()[:40]}"
        for name, text in committed().items()
        for match in re.finditer(pattern, text, re.MULTILINE)
    ]
    assert found == [], what


def test_this_checkout_is_named_nowhere() -> None:
    """No committed text names the folder that it was written in."""
    assert [name for name, text in committed().items() if f"{ROOT}/" in text] == []


def test_no_password_stands_in_an_address() -> None:
    """Database addresses in shipped files carry no password; those in tests are made up."""
    pattern = re.compile(r"\b[a-z+]+://[^\s/:@'\"{}<>]+:[^\s/@'\"{}<>*]+@")
    assert [name for name, text in committed().items() if not name.startswith("tests/") and pattern.search(text)] == []


def test_no_key_file_is_committed() -> None:
    """Keys, seeds and key stores stay out of the repository, whatever their form."""
    kept = [name for name in committed() if re.search(r"\.(?:key|seed|p12|pfx|jks)$|(?:^|/)certs/dev/", name)]
    assert kept == []


@pytest.mark.parametrize("code", sorted(reasons()))
def test_a_reason_has_its_texts(code: str) -> None:
    """Both languages say what was wrong and what to do."""
    assert sorted(reasons()[code]) == sorted(TEXTS)
    assert all(reasons()[code][text].strip() for text in TEXTS)
    assert re.search(r"[\u4e00-\u9fff]", reasons()[code]["zh"])
    assert re.search(r"[\u4e00-\u9fff]", reasons()[code]["remedy_zh"])
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", code)


def test_every_reason_is_raised() -> None:
    """A code that no code or rule names is a text that nobody will ever read."""
    written = {node.value for tree in our_python() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    tables = (ROOT / "src" / "exchange" / "tables", ROOT / "adapters")
    quoted = {
        word
        for folder in tables
        for path in folder.rglob("*.toml")
        if path != REASONS
        for word in re.findall(r'"([A-Z][A-Z0-9_]+)"', path.read_text(encoding="utf-8"))
    }
    assert sorted(reasons().keys() - written - quoted) == []


def test_every_raised_reason_has_texts() -> None:
    """What a ``Problem`` or an error class names stands in the table of reasons."""
    named = {code for tree in our_python() for node in ast.walk(tree) for code in _reasons_of(node)}
    assert len(named) > 50, "the look sees hardly any"
    assert sorted(named - reasons().keys()) == []


def _reasons_of(node: ast.AST) -> Iterator[str]:
    values: list[ast.expr | None] = []
    if isinstance(node, ast.Call):
        values += [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        if isinstance(node.func, ast.Name) and node.func.id == "Problem":
            values += node.args[:1]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == "reason" for target in targets):
            values.append(node.value)
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isupper():
            yield value.value


def test_the_changelog_knows_the_version() -> None:
    """The newest section is that of the version in ``pyproject.toml``."""
    sections = re.findall(r"^## (\S+)", committed()["CHANGELOG.md"], re.MULTILINE)
    assert sections[0] == project()["project"]["version"]


def test_the_readme_names_real_targets_and_commands() -> None:
    """Each ``make`` target and ``exchange`` command in the README's code exists."""
    readme = committed()["README.md"]
    code = "\n".join(
        [*re.findall(r"^```.*?\n(.*?)^```", readme, re.DOTALL | re.MULTILINE), *re.findall(r"`([^`\n]+)`", readme)]
    )
    targets = set(re.findall(r"^([a-z-]+):", committed()["Makefile"], re.MULTILINE))
    promised = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    assert {"demo", "test"} <= promised <= targets
    commands = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?exchange ([a-z].*)$", code, re.MULTILINE)
    assert [line for line in commands if not _is_command(line.split())] == []


def _is_command(words: list[str]) -> bool:
    # Loaded here: where the command line does not load, the rest of the house is still looked at.
    command: Any = typer.main.get_command(importlib.import_module("exchange.cli.main").app)
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return not hasattr(command, "commands")


@pytest.mark.parametrize("lock", ["requirements/run.txt", "requirements/dev.txt"])
def test_a_lock_is_exact_and_names_no_index(lock: str) -> None:
    """Every line pins one version with hashes; where packages come from is the machine's own business."""
    text = committed()[lock]
    assert "://" not in text
    assert re.findall(r"^-", text, re.MULTILINE) == []
    pins = re.findall(r"^[a-z].*?(?=^[a-z#]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_the_locks_cover_the_project_and_agree() -> None:
    """What ``pyproject.toml`` asks for is locked, at one version in both files."""
    locked = {lock: _pins(committed()[f"requirements/{lock}.txt"]) for lock in ("run", "dev")}
    assert locked["run"].items() <= locked["dev"].items()
    wanted = {"run": project()["project"]["dependencies"], "dev": project()["dependency-groups"]["dev"]}
    wanted["dev"] = [*wanted["dev"], *project()["build-system"]["requires"]]
    for lock, lines in wanted.items():
        for requirement in map(Requirement, lines):
            version = locked[lock].get(canonicalize_name(requirement.name), "none")
            assert requirement.specifier.contains(version), f"{requirement} is {version} in {lock}: run make lock"


def _pins(lock: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}


def test_the_foreign_lock_names_no_registry() -> None:
    """The lock of npm has integrity and no address."""
    lock = committed()["tests/foreign/package-lock.json"]
    assert '"integrity"' in lock
    assert '"resolved"' not in lock


def test_an_adapter_folder_is_built_and_watched() -> None:
    """A new folder below ``adapters`` is in the wheel and under the import contracts, or this says so."""
    folders = {path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py")}
    built = {Path(name).name for name in project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    watched = set(project()["tool"]["importlinter"]["root_packages"])
    assert folders | {"exchange"} == built == watched


def test_lock_names_what_is_installed() -> None:
    """The tests run with the locked versions, not with whatever an older environment holds."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "none"

    pins = _pins(committed()["requirements/run.txt"])
    assert {name: installed(name) for name in pins} == pins


def test_every_finding_of_an_audit_has_a_test_that_makes_it() -> None:
    """A code that an auditor may read stands in some test: what never happened in one was never seen to be right."""
    texts = committed()
    audit = "".join(text for name, text in texts.items() if re.match(r"src/exchange/(flows|cli)/audit/.*\.py$", name))
    tests = "".join(text for name, text in texts.items() if re.match(r"tests/.*\.py$", name))
    codes = {code for code in reasons() if f'"{code}"' in audit}
    assert len(codes) > 80
    assert sorted(code for code in codes if f'"{code}"' not in tests) == []

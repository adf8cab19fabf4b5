"""What people read of an export: the text to read first, and the sheet that both sides sign."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from exchange.flows.audit.export.papers.scope_words import scope_words
from exchange.flows.audit.folder.about import About, write_instant
from exchange.tlog import checkpoint
from exchange.tlog.errors import LogFormatError


def read_me(about: About) -> bytes:
    """请先读我.txt: Chinese, then English."""
    return _template("read_me.txt").substitute(_facts(about)).encode("utf-8")


def sheet(about: About, checkpoints: Mapping[str, bytes], *, files_: int, size: int, sha256: str, sm3: str) -> bytes:
    """交接单.html, for A4.

    Args:
        about: The export.
        checkpoints: Signed notes by origin.
        files_: Files that MANIFEST names.
        size: Their bytes.
        sha256: Of MANIFEST, in hex.
        sm3: Of MANIFEST, in hex.
    """
    rows = "\n".join(
        f'<tr><td class="code">{html.escape(log.origin)}</td><td class="number">{log.size}</td>'
        f'<td class="code">{_root(checkpoints.get(log.origin))}</td><td class="number">{log.promised}</td></tr>'
        for log in about.logs
    )
    facts = {name: html.escape(value) for name, value in _facts(about).items()}
    told = _template("sheet.html").substitute(
        facts, logs=rows, files=f"{files_}", size=f"{size}", sha256=sha256, sm3=sm3
    )
    return told.encode("utf-8")


def by_hand(
    *, record: str, revision: int, log: str, index: int, tombstone: str, has_body: bool, lines: Sequence[str]
) -> bytes:
    """手工核验.txt beside one record: the lines stand four blanks in.

    Args:
        record: Record id.
        revision: Its revision.
        log: Origin of the log.
        index: Index within it.
        tombstone: What stands in the body's place; empty where nothing does.
        has_body: Whether the body is among the files.
        lines: Commands, in order.
    """
    absent = tombstone or ("" if has_body else "MISSING")
    told = _template("by_hand.txt").substitute(
        record=record,
        revision=revision,
        log=log,
        index=index,
        body_zh=f"正文不在此处：{absent}" if absent else "正文在此，其摘要在所签声明之中",
        body_en=f"The body is not here: {absent}" if absent else "The body is here; its digest is in what was signed",
        lines="\n".join(f"    {line}" for line in lines),
    )
    return told.encode("utf-8")


def _facts(about: About) -> dict[str, str]:
    return {
        "node": about.node,
        "domain": about.domain,
        "at": write_instant(about.exported_at),
        "scope_zh": scope_words(about.scope, "zh"),
        "scope_en": scope_words(about.scope, "en"),
    }


def _root(note: bytes | None) -> str:
    if note is None:
        return "—"
    try:
        return checkpoint.parse_note(note)[1].root.hex()
    except LogFormatError:
        return "?"


def _template(name: str) -> Template:
    return Template((files(__package__ or "") / name).read_text("utf-8"))

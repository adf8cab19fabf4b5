"""Which files an export has: whatever else lies there is left from an earlier one, and goes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import About, LogAbout
from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import parse_decimal
from exchange.tlog.tiles import WIDTH, Run


def belongs(path: str, about: About, beside: AbstractSet[str]) -> bool:
    """Whether a file is part of the export, by its path.

    Args:
        path: Within the folder.
        about: The export.
        beside: What was written beside the logs.
    """
    top, _, _ = path.partition("/")
    if top == names.REGISTERS:
        return True  # written, or taken away, before all others
    if top != names.LOGS:
        return path in beside
    log = next((each for each in about.logs if path.startswith(f"{each.folder}/")), None)
    return log is not None and _is_of(log, path.removeprefix(f"{log.folder}/"))


def _is_of(log: LogAbout, name: str) -> bool:
    room, _, rest = name.partition("/")
    try:
        if room == "tile":
            level, run = tiles.parse_path(name)
            return run == tiles.run_of(log.size, run.number, level or 0) and (
                level is not None or log.has_bundle(run.number)
            )
        if room in (names.BODIES, names.LEAVES):
            run = _run(rest.removesuffix(".tar"))
            return run == tiles.run_of(log.size, run.number) and log.has_bundle(run.number)
    except LogFormatError:
        return False
    if name in (names.PROMISED_ENTRIES, names.PROMISED_BODIES, names.PROMISED_LEAVES):
        return log.promised > 0
    return room in (names.NOTES, names.TIMESTAMPS) or (name == names.CHECKPOINT and log.size > 0)


def _run(name: str) -> Run:
    number, partial, width = name.partition(".p/")
    return Run(tiles.parse_number(number), parse_decimal(width) if partial else WIDTH)

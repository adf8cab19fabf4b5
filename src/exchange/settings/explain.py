"""What ``config show`` prints: each effective value and where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from exchange.settings.model import Address, KeySource, NodeSettings, Setting
from exchange.settings.passphrase import PassphraseSource

_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")

DEFAULT = "default"
"""Source of a value that the node file does not set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectiveValue:
    """One setting.

    Attributes:
        key: Key path, as in ``limits.watchers``.
        value: As the node file would write it, without passwords.
        source: ``node.toml:12`` or ``default``.
        unit: Unit of a number; empty where it has none.
        why: Why the default is what it is; empty for keys without default.
    """

    key: str
    value: str
    source: str
    unit: str
    why: str


def explain(settings: NodeSettings) -> tuple[EffectiveValue, ...]:
    """Every setting of the node in the order of the model."""
    rows: list[EffectiveValue] = []
    for section in fields(settings):
        if section.name in ("file", "places"):
            continue
        value = getattr(settings, section.name)
        if section.name == "peers":
            for number, peer in enumerate(value):
                rows += _section(settings, peer, f"peer[{number}]")
        else:
            rows += _section(settings, value, section.name)
    return tuple(rows)


def _section(settings: NodeSettings, section: Any, prefix: str) -> Iterator[EffectiveValue]:
    for item in fields(section):
        key = f"{prefix}.{item.name}"
        value = getattr(section, item.name)
        if is_dataclass(value) and not isinstance(value, Address | KeySource | PassphraseSource):
            yield from _section(settings, value, key)
            continue
        line = settings.places.get(key)
        setting: Setting = item.metadata["setting"]
        yield EffectiveValue(
            key=key,
            value=_write(value),
            source=f"{settings.file.name}:{line}" if line else DEFAULT,
            unit=setting.unit,
            why=setting.why,
        )


def _write(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return _PASSWORD.sub(r"\1:***@", str(value))

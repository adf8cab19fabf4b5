"""Reading the node file: every mistake is found in one pass and named with its place."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from exchange.domain.problems import Problem, Refused
from exchange.settings.forms import TEXT_FORMS, check_loopback, read_address, read_key_source
from exchange.settings.model import Address, KeySource, NodeSettings, Setting
from exchange.settings.passphrase import PassphraseSource, read_passphrase_source
from exchange.settings.trust_folder import OWN

MAX_FILE_BYTES: Final = 256 * 1024
"""Bytes of a node file: a federation of hundreds of peers needs a tenth of it."""

_TABLE = re.compile(r"\s*\[(\[)?\s*([A-Za-z0-9_.-]+)\s*\]?\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_.-]+))?\s*=")
_INLINE_KEY = re.compile(r"[{,]\s*([A-Za-z0-9_-]+)\s*=")
_ROOT_NAMES: Final = {"peers": "peer"}
"""Keys of the file that are called otherwise in :class:`NodeSettings`: an array of tables is singular there."""

_WRONG = object()


class SettingsError(Refused):
    """The node file has mistakes: all of them, each with its place (``node.toml:12 listen.agencies``)."""


def load(path: Path) -> NodeSettings:
    """Read and check a node file.

    Relative paths in it count from the file's folder, those of a SQLite database from ``node.data``.

    Raises:
        SettingsError: The file can not be read, or has mistakes; all are listed.
    """
    path = path.absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError([Problem("SETTINGS_UNREADABLE", str(path), error.strerror or "not readable")]) from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> NodeSettings:
    """Check the bytes of a node file; see :func:`load`.

    Args:
        content: UTF-8 TOML.
        path: Where the file lies; relative paths count from its folder. The file itself is not read.

    Raises:
        SettingsError: As for :func:`load`.
    """
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError([Problem("SETTINGS_UNREADABLE", path.name, f"more than {MAX_FILE_BYTES} bytes")])
    try:
        text = content.decode("utf-8")
        tree = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([Problem("SETTINGS_UNREADABLE", path.name, str(error))]) from None
    return _Reader(path, _lines_of(text)).read(tree)


class _Reader:
    def __init__(self, path: Path, lines: Mapping[str, int]) -> None:
        self._path = path
        self._lines = lines
        self._problems: list[Problem] = []

    def read(self, tree: Mapping[str, Any]) -> NodeSettings:
        values: dict[str, Any] = {}
        hints = _hints(NodeSettings)
        roots = {_ROOT_NAMES.get(name, name): name for name in hints if name not in ("file", "places")}
        self._refuse_unknown(tree, roots, "")
        for key, name in roots.items():
            if key == "peer":
                values[name] = self._peers(tree.get(key, []), hints[name])
            else:
                values[name] = self._section(hints[name], tree.get(key, {}), key)
        self._cross_checks(values)
        if self._problems:
            raise SettingsError(sorted(self._problems, key=self._order))
        return NodeSettings(file=self._path, places=dict(self._lines), **values)

    def _order(self, problem: Problem) -> int:
        found = re.search(r":(\d+) ", problem.place)
        return int(found.group(1)) if found else 0

    def _wrong(self, reason: str, key: str, detail: str) -> None:
        line = self._lines.get(key) or self._lines.get(key.rpartition(".")[0])
        where = f"{self._path.name}:{line}" if line else self._path.name
        self._problems.append(Problem(reason, f"{where} {key}", detail))

    def _refuse_unknown(self, table: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                detail = f"did you mean {prefix}{close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
                self._wrong("SETTING_UNKNOWN", prefix + key, detail)

    def _section(self, cls: type[Any], table: object, place: str) -> Any:
        """One table as its dataclass; :data:`_WRONG` when a key of it is."""
        if not isinstance(table, dict):
            self._wrong("SETTING_TYPE", place, "must be a table")
            return _WRONG
        hints = _hints(cls)
        self._refuse_unknown(table, hints, f"{place}.")
        values: dict[str, Any] = {}
        for item in fields(cls):
            key = f"{place}.{item.name}"
            if item.name in table:
                values[item.name] = self._value(hints[item.name], table[item.name], key, _setting(item))
            elif item.default is MISSING:
                self._wrong("SETTING_MISSING", key, "must be written")
                values[item.name] = _WRONG
            else:
                values[item.name] = self._resolve(item.default)
        if any(value is _WRONG for value in values.values()):
            return _WRONG
        return cls(**values)

    def _peers(self, rows: object, hint: Any) -> Any:
        if not isinstance(rows, list):
            self._wrong("SETTING_TYPE", "peer", "must be an array of tables, [[peer]]")
            return _WRONG
        cls = get_args(hint)[0]
        found = [self._section(cls, row, f"peer[{number}]") for number, row in enumerate(rows)]
        return _WRONG if any(peer is _WRONG for peer in found) else tuple(found)

    def _value(self, hint: Any, value: object, key: str, setting: Setting) -> Any:
        """One value as its type; :data:`_WRONG` after naming what is wrong with it."""
        if get_origin(hint) in (Union, types.UnionType):
            hint = next(arg for arg in get_args(hint) if arg is not type(None))
        if is_dataclass(hint) and hint not in (Address, KeySource, PassphraseSource):
            return self._section(hint, value, key)  # type: ignore[arg-type]
        if get_origin(hint) is tuple:
            return self._list(get_args(hint)[0], value, key, setting)
        if hint is bool:
            return value if isinstance(value, bool) else self._type(key, "must be true or false")
        if hint is int:
            return self._number(value, key, setting)
        return self._text(hint, value, key, setting)

    def _type(self, key: str, detail: str) -> Any:
        self._wrong("SETTING_TYPE", key, detail)
        return _WRONG

    def _list(self, hint: Any, value: object, key: str, setting: Setting) -> Any:
        if not isinstance(value, list):
            return self._type(key, "must be a list")
        found = [self._text(hint, item, key, setting) for item in value]
        if any(item is _WRONG for item in found):
            return _WRONG
        if (hint is not str or setting.choices) and not found:
            self._wrong("SETTING_VALUE", key, "must name at least one")
            return _WRONG
        return tuple(found)

    def _number(self, value: object, key: str, setting: Setting) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return self._type(key, f"must be a whole number{f' of {setting.unit}' if setting.unit else ''}")
        low, high = setting.low, setting.high
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"{low if low is not None else '…'} to {high if high is not None else '…'}"
            self._wrong("SETTING_RANGE", key, f"must be {bounds} {setting.unit}, not {value}".rstrip())
            return _WRONG
        return value

    def _text(self, hint: Any, value: object, key: str, setting: Setting) -> Any:
        if not isinstance(value, str):
            return self._type(key, "must be a text")
        try:
            return self._resolve(_read_text(hint, value, setting))
        except ValueError as error:
            self._wrong("SETTING_VALUE", key, str(error))
            return _WRONG

    def _resolve(self, value: Any) -> Any:
        """Relative paths count from the node file's folder."""
        if isinstance(value, Path):
            return self._path.parent / value
        if isinstance(value, KeySource):
            token = value.token
            if token is not None and token.pin_file is not None:
                token = replace(token, pin_file=self._path.parent / token.pin_file)
            return replace(value, path=self._path.parent / value.path, token=token)
        if isinstance(value, PassphraseSource) and value.path is not None:
            return replace(value, path=self._path.parent / value.path)
        if isinstance(value, tuple):
            return tuple(self._resolve(item) for item in value)
        return value

    def _cross_checks(self, values: dict[str, Any]) -> None:
        node, peers, keys = values["node"], values["peers"], values["keys"]
        if node is not _WRONG:
            values["database"] = self._database(values["database"], node.data)
            names = [] if peers is _WRONG else [peer.name for peer in peers]
            for number, name in enumerate(names):
                place = f"peer[{number}].name"
                if name == node.name or name in names[:number]:
                    what = "is this node itself" if name == node.name else "is named twice"
                    self._wrong("SETTING_VALUE", place, f"{name} {what}")
                if name == OWN:
                    self._wrong("SETTING_VALUE", place, f"{OWN} is the trust folder's name for this node's own roots")
        if peers is not _WRONG:
            self._check_reach(peers)
        if keys is not _WRONG:
            uses = [("tls", keys.tls), ("log", keys.log), ("mirror", keys.mirror), ("witness", keys.witness)]
            uses += [("signing", source) for source in keys.signing]
            uses += [("tls_client", keys.tls_client)] if keys.tls_client is not None else []
            seconds = (("mirror_second", keys.mirror_second), ("witness_second", keys.witness_second))
            uses += [(use, source) for use, source in seconds if source is not None]
            seen: dict[str, str] = {}
            for use, source in uses:
                if str(source) in seen:
                    self._wrong("KEY_SHARED", f"keys.{use}", f"the same key as keys.{seen[str(source)]}")
                seen[str(source)] = use
        stamps = values["timestamps"]
        if stamps is not _WRONG and stamps.url is not None and stamps.roots is None:
            self._wrong("SETTING_MISSING", "timestamps.roots", "must be written with timestamps.url")
        delivery, disk = values["delivery"], values["disk"]
        if delivery is not _WRONG and delivery.retry_max_ms < delivery.retry_min_ms:
            self._wrong("SETTING_RANGE", "delivery.retry_max_ms", "must not be less than delivery.retry_min_ms")
        if disk is not _WRONG and not disk.telemetry_below >= disk.registry_below >= disk.urgent_below:
            self._wrong(
                "SETTING_RANGE", "disk", "telemetry is refused first, urgent last: each bound at least the next"
            )

    def _check_reach(self, peers: Any) -> None:
        """Each way of reaching a peer has its own keys, and no other's."""
        folders: dict[Path, str] = {}
        for number, peer in enumerate(peers):
            place, by_folder = f"peer[{number}]", peer.transport == "folder"
            if peer.dial is None and peer.transport == "push":
                why = 'must be written, unless the peer dials us (transport = "pull") or files are carried ("folder")'
                self._wrong("SETTING_MISSING", f"{place}.dial", why)
            if by_folder and peer.dial is not None:
                self._wrong("SETTING_VALUE", f"{place}.dial", "a peer that is reached by files is not dialled")
            if by_folder and peer.folder is None:
                self._wrong("SETTING_MISSING", f"{place}.folder", "must be written with transport folder")
            if not by_folder and peer.folder is not None:
                self._wrong("SETTING_VALUE", f"{place}.folder", "only with transport folder")
            if peer.folder is not None and folders.setdefault(peer.folder, peer.name) != peer.name:
                self._wrong("SETTING_VALUE", f"{place}.folder", f"also of {folders[peer.folder]}")

    def _database(self, database: Any, data: Path) -> Any:
        prefix = "sqlite:///"
        if database is _WRONG or not database.url.startswith(prefix):
            return database
        return type(database)(url=prefix + str(data / database.url.removeprefix(prefix)))


def _read_text(hint: Any, value: str, setting: Setting) -> Any:
    if not value.strip() and setting.form != "adapter":
        raise ValueError("must not be empty")
    if any(ord(char) < 0x20 for char in value):
        raise ValueError("must not hold control characters")
    if setting.choices and value not in setting.choices:
        raise ValueError(f"must be one of {', '.join(setting.choices)}")
    if hint is Address:
        address = read_address(value)
        if setting.form == "loopback":
            check_loopback(address)
        return address
    if hint is KeySource:
        return read_key_source(value, token=setting.form == "signer")
    if hint is PassphraseSource:
        return read_passphrase_source(value)
    if hint is Path:
        return Path(value)
    return TEXT_FORMS[setting.form](value) if setting.form else value


def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _setting(item: Field[Any]) -> Setting:
    setting: Setting = item.metadata["setting"]
    return setting


def _lines_of(text: str) -> dict[str, int]:
    """Line of each table and key, by key path. Good enough to point at; tomllib alone decides what the file says."""
    lines: dict[str, int] = {}
    prefix = ""
    count = -1
    for number, line in enumerate(text.splitlines(), start=1):
        if table := _TABLE.match(line):
            prefix = table.group(2)
            if table.group(1):
                count += 1
                prefix = f"{prefix}[{count}]"
            lines.setdefault(prefix, number)
        elif key := _KEY.match(line):
            name = f"{prefix}.{key.group(1)}" if prefix else key.group(1)
            if key.group(2):
                name = f"{name}.{key.group(2)}"
            lines.setdefault(name, number)
            for inner in _INLINE_KEY.finditer(line):
                lines.setdefault(f"{name}.{inner.group(1)}", number)
    return lines

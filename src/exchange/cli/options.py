"""Options and arguments that many commands share, and how they become objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.texts import choose_language, t
from exchange.domain import kinds
from exchange.rpc.profile import find_profile, load_profile
from exchange.settings import NodeSettings, load
from exchange.v1.kind_pb2 import Kind, Lane

if TYPE_CHECKING:
    from exchange.rpc.client import Client

NODE_VARIABLE: Final = "EXCHANGE_NODE"
"""Environment variable that names the node file."""


def _json_chosen(context: typer.Context, value: bool) -> bool:  # noqa: FBT001  (the signature is typer's)
    # Also needed where a failure is reported, far from the command's own arguments.
    context.find_root().meta["exchange.json"] = value
    return value


JsonOption = Annotated[bool, typer.Option("--json", help=t("option.json"), callback=_json_chosen)]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", "-p", help=t("option.profile"), show_default=False, dir_okay=False)
]
NodeOption = Annotated[Path, typer.Option("--node", "-n", help=t("option.node"), envvar=NODE_VARIABLE, dir_okay=False)]
NodeArgument = Annotated[
    Path, typer.Argument(help=t("option.node"), envvar=NODE_VARIABLE, metavar="NODE.toml", dir_okay=False)
]
LimitOption = Annotated[int, typer.Option("--limit", "-l", help=t("option.limit"), min=1)]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help=t("option.reason"))]
KindOption = Annotated[str, typer.Option("--kind", "-k", help=t("option.kind"))]

DEFAULT_NODE_FILE: Final = Path("node.toml")
DEFAULT_LIMIT: Final = 100
"""Rows that a list shows unless told otherwise: a screen or two."""


@contextmanager
def client(profile: Path | None) -> Iterator[Client]:
    """A connection to the node that the profile names.

    Raises:
        ProfileInvalid: No usable profile.
        CallFailed: In the body, when a call fails.
    """
    chosen = load_profile(find_profile(profile, os.environ))
    choose_language(chosen.lang)
    from exchange.rpc.client import Client  # noqa: PLC0415  (offline commands start without gRPC)

    with Client(chosen) as opened:
        yield opened


def read_settings(node: Path) -> NodeSettings:
    """The node file's settings; its language becomes that of the run unless another one was asked for.

    Raises:
        SettingsError: The node file has mistakes.
    """
    settings = load(node)
    choose_language(settings.node.lang)
    return settings


def read_kind(name: str) -> Kind.ValueType:
    """A kind by its name; UNSPECIFIED for the empty name.

    Raises:
        typer.BadParameter: No such kind.
    """
    if not name:
        return Kind.KIND_UNSPECIFIED
    kind = kinds.kind_by_name(name)
    if kind is None:
        known = ", ".join(kinds.spec(each).name for each in kinds.KINDS)
        raise typer.BadParameter(t("message.unknown_kind", name=name, known=known))
    return kind


def read_lane(name: str) -> Lane.ValueType:
    """A lane by its name.

    Raises:
        typer.BadParameter: No such lane.
    """
    value = f"LANE_{name.upper()}"
    if value not in dict(Lane.items()) or value == "LANE_UNSPECIFIED":
        raise typer.BadParameter(t("message.unknown_lane", name=name))
    return Lane.Value(value)


def read_choice(name: str, choices: dict[str, int], prefix: str) -> int:
    """The number of an enumerator by its short name; 0 for the empty name.

    Args:
        name: As typed.
        choices: The enumeration's names and numbers.
        prefix: What every name begins with, as in ``OUTCOME_``.

    Raises:
        typer.BadParameter: No such name.
    """
    if not name:
        return 0
    number = choices.get(prefix + name.upper().replace("-", "_"))
    if not number:
        known = ", ".join(key.removeprefix(prefix) for key, value in choices.items() if value)
        raise typer.BadParameter(t("message.unknown_choice", name=name, known=known))
    return number

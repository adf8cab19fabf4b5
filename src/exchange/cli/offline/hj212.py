"""``hj212``: packets as devices send them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, clean, finish
from exchange.cli.texts import t
from exchange.domain.problems import Problem, Refused
from exchange_hj212 import decode as packets
from exchange_hj212 import to_json
from exchange_hj212.decode import edition_name, verdict_name

if TYPE_CHECKING:
    from exchange_hj212 import DecodedPacket

app = typer.Typer(help=t("help.hj212"), no_args_is_help=True)

MAX_RECORDING_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of a recording that is decoded at once: a province's packets of some days."""

SHOWN_READINGS: Final = 6
"""Readings on a packet's line; ``--json`` has them all."""


@app.callback()
def _noun() -> None:
    """Keeps ``decode`` a word of its own: typer would drop the name of an only command."""


@app.command("decode", help=t("help.hj212_decode"))
def decode(
    file: Annotated[Path, typer.Argument(help=t("option.recording"), dir_okay=False)],
    *,
    key: Annotated[str, typer.Option("--key", help=t("option.sm4_key"), show_default=False)] = "",
    as_json: JsonOption = False,
) -> None:
    """Print one line per packet; exit status 1 when a packet has problems."""
    out = Output(as_json)
    try:
        secret = bytes.fromhex(key) if key else None
    except ValueError:
        raise typer.BadParameter(t("message.bad_sm4_key")) from None
    if secret is not None and len(secret) != 16:
        raise typer.BadParameter(t("message.bad_sm4_key"))
    data = _recording(file)
    problems = False
    for packet in packets(data, key=secret):
        problems = problems or bool(packet.problems)
        if out.as_json:
            out.line(to_json(packet))
        else:
            sys.stdout.write(clean(_line(packet)) + "\n")
    finish(Exit.FINDING if problems else Exit.DONE)


def _recording(file: Path) -> bytes:
    """The bytes of a recording; of the standard input for ``-``, which typer itself takes for a file's name."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            data = source.read(MAX_RECORDING_BYTES + 1)
    except OSError as error:
        raise Refused([Problem("FILE_MISSING", str(file), error.strerror or "")]) from error
    if len(data) > MAX_RECORDING_BYTES:
        raise typer.BadParameter(t("message.recording_too_big", limit=MAX_RECORDING_BYTES))
    return data


def _line(packet: DecodedPacket) -> str:
    header = packet.header
    readings = " ".join(
        f"{r.factor}-{r.item}={r.value}{f'({r.flag})' if r.flag else ''}" for r in packet.readings[:SHOWN_READINGS]
    )
    more = len(packet.readings) - SHOWN_READINGS
    parts = [
        f"@{packet.offset}",
        edition_name(packet.edition) or "-",
        verdict_name(packet.crc_verdict) or "-",
        f"ST={header.get('ST', '-')}",
        f"CN={header.get('CN', '-')}",
        f"MN={header.get('MN', '-')}",
        packet.data_time or "-",
        readings,
        f"+{more}" if more > 0 else "",
        f"!{','.join(packet.problems)}" if packet.problems else "",
        f"~{sum(run.length for run in packet.skipped)}B" if packet.skipped else "",
    ]
    return " ".join(filter(None, parts)).replace("\n", " ")

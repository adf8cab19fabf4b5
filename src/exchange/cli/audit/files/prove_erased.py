"""``audit prove-erased``: that an erased record is gone from the disk of a node that stands still."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from exchange.app.folder_lock import one_process
from exchange.cli.details import told
from exchange.cli.envelope_file import MAX_FILE_BYTES, read_envelope
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Exit, Output, clean, finish
from exchange.cli.texts import reason_text, t, word
from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.keeping.prove import NOT_PROVABLE, PROVEN, REFUTED, ErasureProof, Known, prove
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest

EnvelopeOption = Annotated[Path | None, typer.Option("--envelope", help=t("option.known_envelope"), dir_okay=False)]
AlsoOption = Annotated[list[Path] | None, typer.Option("--also", help=t("option.also"), file_okay=False)]

_STATUS = {PROVEN: Exit.DONE, REFUTED: Exit.FINDING, NOT_PROVABLE: Exit.UNDECIDABLE}


def prove_erased(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin_own"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision_erased"), min=0)] = 0,
    envelope: EnvelopeOption = None,
    also: AlsoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look whether anything of an erased record is left; exit status 1 when it is, 3 when that can not be shown."""
    out = Output(as_json)
    settings = read_settings(node)
    known = _known(envelope)
    folders = [settings.node.data, *(also or ())]
    folders += [link.folder for link in settings.peers if link.folder is not None and link.folder.is_dir()]
    with one_process(settings.node.data):
        database = Database(settings.database.url)
        try:
            require_newest(database)
            proof = prove(
                database,
                settings.node.name,
                origin or settings.node.name,
                record,
                folders,
                revision=revision,
                known=known,
            )
        finally:
            database.dispose()
    if out.as_json:
        out.value({"verdict": proof.verdict, **asdict(proof)})
    else:
        _tell(out, proof)
    finish(_STATUS[proof.verdict])


def _known(path: Path | None) -> Known:
    if path is None:
        return Known()
    if path.stat().st_size > MAX_FILE_BYTES:
        raise Refused([Problem("ENVELOPE_FILE", str(path))])
    exported = read_envelope(path.read_bytes())
    return Known(body=exported.record or b"", salt=exported.salt)


def _needed(missing: str) -> str:
    """What would be needed, in words where it is no command."""
    name, _, of = missing.partition(" ")
    return f"{word('erasure_missing', name)} {of}".strip()


def _fact(name: str, value: object) -> str:
    shown = " ".join(map(str, value)) if isinstance(value, list) else clean(value)
    return f"{word('erasure_fact', name)}: {shown}"


def _tell(out: Output, proof: ErasureProof) -> None:
    out.table(
        ("no", "claim", "verdict", "missing", "facts"),
        [
            (
                each.no,
                word("erasure_claim", each.name),
                word("claim_outcome", each.outcome),
                "\n".join(map(_needed, each.missing)),
                "\n".join(_fact(name, value) for name, value in each.facts.items()),
            )
            for each in proof.claims
        ],
        title=t("title.erasure", record=proof.record_id),
    )
    if proof.findings:
        out.table(
            ("no", "reason", "meaning", "place", "content"),
            [
                (
                    each.no,
                    each.code,
                    reason_text(each.code).message,
                    f"{each.file}@{each.byte}" if each.file else f"{each.log}#{each.index}" if each.log else "",
                    told(each.text),
                )
                for each in proof.findings
            ],
        )
    out.say(t("message.erasure_outside"))

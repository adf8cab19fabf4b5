"""``verify``: a receipt or an exported envelope, claim by claim, with nothing but what the caller trusts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.envelope_file import read_envelope
from exchange.cli.offline.claims import Claim, Verdict, check_envelope, check_receipt, mirrored_entry
from exchange.cli.offline.trusted import Trusted, gather
from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import t, word
from exchange.crypto.dsse import ALGORITHMS
from exchange.domain.problems import Refused

RECEIPT_HEADER = b"c2sp.org/tlog-proof@v1\n"
"""How a receipt begins."""

MAX_FILE_BYTES = 8 * 1024 * 1024
"""Bytes of a file that is looked at: twice an exported envelope."""


def verify(
    files: Annotated[list[Path], typer.Argument(help=t("option.evidence"), exists=True, dir_okay=False)],
    *,
    cards: Annotated[
        list[Path] | None, typer.Option("--card", help=t("option.trusted_card"), exists=True, dir_okay=False)
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help=t("option.trust_folder"), exists=True, file_okay=False)
    ] = None,
    vkeys: Annotated[list[str] | None, typer.Option("--vkey", help=t("option.vkey"))] = None,
    roots: Annotated[
        Path | None, typer.Option("--roots", help=t("option.signing_roots"), exists=True, dir_okay=False)
    ] = None,
    chain: Annotated[
        Path | None, typer.Option("--chain", help=t("option.signing_chain"), exists=True, dir_okay=False)
    ] = None,
    require: Annotated[str, typer.Option("--require", help=t("option.require"))] = "",
    as_json: JsonOption = False,
) -> None:
    """Check evidence offline. Exit status 0: all claims hold; 1: one is wrong; 3: trusted keys are missing."""
    out = Output(as_json)
    algorithms = [each.strip() for each in require.split(",") if each.strip()]
    if unknown := [each for each in algorithms if each not in ALGORITHMS]:
        raise typer.BadParameter(t("message.unknown_choice", name=unknown[0], known=", ".join(ALGORITHMS)))
    trusted = gather(cards=cards or (), trust=trust, vkeys=vkeys or (), roots=roots, chain=chain, require=algorithms)
    results = _check_all(files, trusted)
    if out.as_json:
        out.value(
            {
                "files": [
                    {
                        "file": str(path),
                        "holds": _status(claims) is Exit.DONE,
                        "claims": [{"claim": c.name, "verdict": c.verdict.value, "detail": c.detail} for c in claims],
                    }
                    for path, claims in results
                ]
            }
        )
    for path, claims in results:
        out.table(
            ("claim", "verdict", "detail"),
            [(word("claim", claim.name), word("verdict", claim.verdict.value), claim.detail) for claim in claims],
            title=str(path),
        )
    statuses = [_status(claims) for _, claims in results]
    finish(next((s for s in (Exit.FINDING, Exit.UNDECIDABLE) if s in statuses), Exit.DONE))


def _check_all(files: list[Path], trusted: Trusted) -> list[tuple[Path, list[Claim]]]:
    """Each file by itself; but a receipt tells the envelope of its entry the mirrored time, and gets certificates."""
    read = [(path, path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None) for path in files]
    mirrored: dict[bytes, int] = {}
    chains: dict[bytes, tuple[tuple[bytes, ...], ...]] = {}
    for _, data in read:
        if data is None:
            continue
        if data.startswith(RECEIPT_HEADER):
            proven = mirrored_entry(data, trusted)
            if proven is not None:
                mirrored[proven[0]] = proven[1]
            continue
        with contextlib.suppress(Refused):
            exported = read_envelope(data)
            chains[exported.entry] = exported.chains
    return [(path, _check(data, trusted, mirrored, chains)) for path, data in read]


def _check(
    data: bytes | None,
    trusted: Trusted,
    mirrored: dict[bytes, int],
    chains: dict[bytes, tuple[tuple[bytes, ...], ...]],
) -> list[Claim]:
    if data is None:
        return [Claim(name="FORM", verdict=Verdict.WRONG, detail=f"more than {MAX_FILE_BYTES} bytes")]
    try:
        if data.startswith(RECEIPT_HEADER):
            return list(check_receipt(data, trusted, chains))
        return list(check_envelope(data, trusted, mirrored))
    except Refused as refused:
        return [Claim(name="FORM", verdict=Verdict.WRONG, detail=p.detail) for p in refused.problems]


def _status(claims: list[Claim]) -> Exit:
    if any(claim.verdict is Verdict.WRONG for claim in claims):
        return Exit.FINDING
    if any(claim.verdict is Verdict.UNDECIDED for claim in claims):
        return Exit.UNDECIDABLE
    return Exit.DONE

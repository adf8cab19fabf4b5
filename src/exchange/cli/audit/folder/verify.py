"""``audit verify``: an exported folder, claim by claim, by nothing but what the caller believes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exchange.cli.audit.folder.asking import (
    STATUS,
    FolderArgument,
    HeadsOption,
    JobsOption,
    ListOption,
    RegistersOption,
    TsaRootsOption,
    question,
    usage,
)
from exchange.cli.audit.folder.believing import (
    CardsOption,
    FingerprintsOption,
    ListsOption,
    PolicyOption,
    RequireOption,
    RootsOption,
    gather,
)
from exchange.cli.audit.folder.found import facts_of
from exchange.cli.audit.folder.own_list import AdapterOption, KeyOption
from exchange.cli.audit.watched import watched
from exchange.cli.details import needed, told
from exchange.cli.options import JsonOption
from exchange.cli.output import Output, finish
from exchange.cli.texts import reason_text, t, word
from exchange.flows.audit.verify.claims import Against, Missing, Outcome, Result, Verdict
from exchange.flows.audit.verify.run import verify

MAX_SHOWN = 50
"""Findings in the table for people; ``--json`` has them all."""


def verify_folder(
    folder: FolderArgument,
    *,
    policy: PolicyOption = None,
    cards: CardsOption = None,
    fingerprints: FingerprintsOption = None,
    tsa_roots: TsaRootsOption = None,
    roots: RootsOption = None,
    lists: ListsOption = None,
    require: RequireOption = None,
    pages: HeadsOption = None,
    registers: RegistersOption = False,
    listed: ListOption = None,
    key: KeyOption = "decision_no",
    adapter: AdapterOption = "",
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check an exported folder. Exit status 0 all proven, 1 something refuted, 2 usage, 3 something not provable."""
    out = Output(as_json)
    with usage(as_json=as_json):
        believed = gather(
            policy=policy, cards=cards, fingerprints=fingerprints, roots=roots, lists=lists, require=require
        )
        asked = question(
            folder, believed, pages=pages or (), tsa_roots=tsa_roots, registers=registers, listed=listed, key=key,
            adapter=adapter, jobs=jobs,
        )  # fmt: skip
        with watched() as watch:
            result = verify(asked, watch)
    show(out, result)
    finish(STATUS[result.verdict])


def show(out: Output, result: Result) -> None:
    """Print a result: the claims first, then what was found."""
    if out.as_json:
        out.value(result.as_dict())
        return
    say_verdict(out, result.verdict, result.policy)
    out.table(
        ("number", "claim", "verdict", "missing", "detail"),
        [
            (
                int(claim.no),
                word("audit_claim", claim.no.name),
                word("claim_outcome", claim.outcome.value),
                "\n".join(_missing(claim.missing)) if claim.outcome is Outcome.NOT_PROVABLE else "",
                "\n".join(f"{name}: {value}" for name, value in facts_of(claim)),
            )
            for claim in result.claims
        ],
    )
    out.table(
        ("log", "use", "size", "promised", "cosigned", "cosigner"),
        [_log_row(log) for log in result.logs],
    )
    if result.findings:
        out.table(
            ("number", "reason", "place", "meaning"),
            [_finding_row(found) for found in result.findings[:MAX_SHOWN]],
            title=t("title.audit_findings", count=len(result.findings) + result.further),
        )


def say_verdict(out: Output, verdict: Verdict, policy: Sequence[str]) -> None:
    """Print a verdict, and what it rests on."""
    style = {Verdict.PROVEN: "bold green", Verdict.REFUTED: "bold red"}.get(verdict, "bold yellow")
    out.say(word("audit_verdict", verdict.value), style=style)
    for name in policy:
        out.say(name)


def _missing(missing: Sequence[Missing]) -> list[str]:
    shown = [f"{needed(each.what)} {told(each.of)}".strip() for each in missing[:6]]
    return [*shown, "…"] if len(missing) > len(shown) else shown


def _log_row(log: Any) -> tuple[object, ...]:
    use = word("log_use", str(log["use"]).upper())
    return log["origin"], use, log["size"], log["promised"], log.get("checkpoint_time", ""), log.get("cosigner", "")


def _finding_row(found: Against) -> tuple[object, ...]:
    finding = found.finding
    place = [finding.log + (f"#{finding.index}" if finding.index is not None else "")]
    place.append(finding.file + (f" @{finding.byte}" if finding.byte is not None else ""))
    meaning = [reason_text(finding.code).message, told(finding.detail)]
    code = finding.code if finding.proven else f"{finding.code}\n{t('message.not_provable')}"
    return int(found.no), code, "\n".join(filter(None, place)), "\n".join(filter(None, meaning))

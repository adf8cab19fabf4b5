"""``audit reconcile``: the logs of two nodes beside each other, with bundles of evidence that a side can not deny."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.audit.folder.asking import STATUS, usage
from exchange.cli.audit.folder.believing import CardsOption, FingerprintsOption, PolicyOption, RootsOption, gather
from exchange.cli.audit.folder.found import finding_dicts, print_findings
from exchange.cli.audit.folder.material import MaterialArgument, opened
from exchange.cli.audit.folder.verify import say_verdict
from exchange.cli.audit.watched import watched
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption
from exchange.cli.output import Output, finish
from exchange.cli.texts import t, word
from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.reconcile import evidence
from exchange.flows.audit.reconcile.answers import RepairState
from exchange.flows.audit.reconcile.run import LaneResult, Reconciled, check_sides, reconcile
from exchange.flows.audit.sources.source import Source
from exchange.flows.instants import instant
from exchange.v1.kind_pb2 import Outcome


def reconcile_sides(
    one: MaterialArgument,
    other: MaterialArgument,
    *,
    policy: PolicyOption = None,
    cards: CardsOption = None,
    fingerprints: FingerprintsOption = None,
    roots: RootsOption = None,
    bundles: Annotated[
        Path | None, typer.Option("--evidence", help=t("option.bundles"), file_okay=False, show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what two nodes hold of the lanes between them. Exit status as of ``audit verify``."""
    out = Output(as_json)
    with usage(as_json=as_json):
        believed = gather(policy=policy, cards=cards, fingerprints=fingerprints, roots=roots)
    with opened(one) as left, opened(other) as right:
        with usage(as_json=as_json):
            check_sides(left, right)
        with watched() as watch:
            done = reconcile(left, right, believed, watch)
        findings = _with_bundles(done, {left.node: left, right.node: right}, bundles)
    if out.as_json:
        out.value(
            {
                "verdict": done.verdict.value,
                "policy": list(believed.names()),
                "nodes": list(done.nodes),
                "at": instant(done.at).isoformat(),
                "lanes": [_lane(each, done.at) for each in done.lanes],
                "repairs": [_repair(each, done.at) for each in done.repairs],
                "findings": finding_dicts(findings),
            }
        )
    else:
        say_verdict(out, done.verdict, believed.names())
        _print(out, done)
        print_findings(out, findings)
        if not findings:
            out.say(t("message.sides_agree"), style="green")
    finish(STATUS[done.verdict])


def _with_bundles(done: Reconciled, sources: dict[str, Source], folder: Path | None) -> list[Finding]:
    """The findings, those that are proven with the folder of their bundle."""
    if folder is None:
        return done.findings
    made: dict[int, Finding] = {}
    for number, (finding, pair, found) in enumerate(done.proofs, 1):
        entry = None
        if found.tree is not None and found.against is None:
            shown_by = pair.owner if found.tree is pair.own else pair.other
            entry = evidence.entry_at(sources[shown_by], found.tree.log, found.index)
        place = folder / f"{number:03d}-{finding.code}"
        try:
            evidence.write(place, evidence.bundle(finding, pair, found, done.keys_of(pair), entry))
        except OSError as error:  # one of an earlier run, or no room: neither is written over
            raise typer.BadParameter(f"{place}: {error.strerror}") from None
        made[id(finding)] = replace(finding, evidence={**finding.evidence, "folder": str(place)})
    return [made.get(id(each), each) for each in done.findings]


def _age(since: int, at: int) -> str:
    """A span of time in days, hours and minutes."""
    if not since:
        return ""
    minutes = max(0, at - since) // 60_000_000
    days, rest = divmod(minutes, 1440)
    return f"{days}d {rest // 60}h {rest % 60}m" if days else f"{rest // 60}h {rest % 60}m"


def _print(out: Output, done: Reconciled) -> None:
    out.table(
        ("origin", "entries_own", "entries_mirror", "cosigned", "pending", "oldest", "decided", "unanswered", "oldest"),
        [
            (
                each.pair.origin,
                each.pair.own.size,
                each.pair.mirror.size,
                each.pair.cosigned,
                each.standing.pending,
                _age(each.standing.oldest_pending, done.at),
                "\n".join(
                    f"{word('outcome', _outcome(outcome))} {count}"
                    for outcome, count in sorted(each.standing.outcomes.items())
                ),
                each.standing.unanswered,
                _age(each.standing.oldest_unanswered, done.at),
            )
            for each in done.lanes
        ],
    )
    kinds = [
        (each.pair.origin, _kind(kind), count)
        for each in done.lanes
        for kind, count in sorted(each.standing.kinds.items())
    ]
    out.table(("origin", "kind", "entries"), kinds)
    if done.repairs:
        out.table(
            ("act", "notice", "place", "stopped_own", "stopped_other", "unconfirmed"),
            [
                (
                    each.act,
                    each.notice,
                    f"{each.log}#{each.index}",
                    f"{each.owner}: {t('word.yes') if each.applied_by_owner else t('word.no')}",
                    f"{each.other}: {t('word.yes') if each.applied_by_other else t('word.no')}",
                    ", ".join(each.missing),
                )
                for each in done.repairs
            ],
        )


def _kind(number: int) -> str:
    return words.kind_word(number) or str(number)  # type: ignore[arg-type]


def _outcome(number: int) -> str:
    return enum_name(Outcome, number, "OUTCOME_")


def _lane(each: LaneResult, at: int) -> dict[str, Any]:
    standing = each.standing
    return {
        "log": each.pair.origin,
        "owner": each.pair.owner,
        "other": each.pair.other,
        "entries": {each.pair.owner: each.pair.own.size, each.pair.other: each.pair.mirror.size},
        "cosigned": each.pair.cosigned,
        "checkpoints": len(each.pair.heads),
        "first_difference": each.first_difference,
        "clock_ahead_seconds": each.skew,
        "kinds": {str(kind): count for kind, count in sorted(standing.kinds.items())},
        "outcomes": {_outcome(outcome): count for outcome, count in sorted(standing.outcomes.items())},
        "unanswered": standing.unanswered,
        "oldest_unanswered_seconds": _seconds(standing.oldest_unanswered, at),
        "pending": standing.pending,
        "oldest_pending_seconds": _seconds(standing.oldest_pending, at),
    }


def _seconds(since: int, at: int) -> int | None:
    return max(0, at - since) // 1_000_000 if since else None


def _repair(each: RepairState, at: int) -> dict[str, Any]:
    return {
        "log": each.log,
        "index": each.index,
        "act": each.act,
        "notice": each.notice,
        "stopped": {each.owner: each.applied_by_owner, each.other: each.applied_by_other},
        "unconfirmed": list(each.missing),
        "age_seconds": _seconds(each.since, at),
        "proven": each.is_proven,
    }

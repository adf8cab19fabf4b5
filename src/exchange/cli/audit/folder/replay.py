"""``audit replay``: walk a node's journal over its logs again, and compare what it gives with what stands elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.firm import firm_code
from exchange.cli.audit.folder.asking import JobsOption
from exchange.cli.audit.folder.found import finding_dicts, print_findings, verdict
from exchange.cli.audit.folder.material import MaterialArgument, opened
from exchange.cli.audit.running.remote import NodeRegisters
from exchange.cli.audit.watched import watched
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, client
from exchange.cli.output import Output, finish
from exchange.cli.texts import t, word
from exchange.domain.recognising.recognition import RuleSet
from exchange.flows.apply.again.replay import ReplayedStep, Stop
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.replay import run as replaying
from exchange.flows.audit.replay.reevaluate import Reevaluated, reevaluate
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.replay.subject import SubjectTrail, Touch
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.instants import instant
from exchange.flows.intake.ids import format_id
from exchange.storage.engine.transaction import LogHead
from exchange.tables import read_all
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Outcome

FOLLOW_SECONDS = 2.0
"""Seconds between two looks at a source that grows."""

_INSTANTS = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


def replay(
    material: MaterialArgument,
    *,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", help=t("option.replay_as_of"), formats=_INSTANTS, show_default=False)
    ] = None,
    until: Annotated[
        int | None, typer.Option("--until", help=t("option.replay_until"), min=0, show_default=False)
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help=t("option.replay_against"), dir_okay=False, show_default=False)
    ] = None,
    registers: Annotated[
        Path | None,
        typer.Option(
            "--registers", help=t("option.replay_registers"), exists=True, file_okay=False, show_default=False
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help=t("option.replay_follow"))] = False,
    subject: Annotated[str, typer.Option("--subject", help=t("option.replay_subject"))] = "",
    re_evaluate: Annotated[bool, typer.Option("--re-evaluate", help=t("option.re_evaluate"))] = False,
    tables: Annotated[
        Path | None, typer.Option("--tables", help=t("option.tables"), file_okay=False, exists=True, show_default=False)
    ] = None,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a node's registers again out of its logs; every step's digest is compared with the journal's."""
    out = Output(as_json)
    past, beside = as_of is not None or until is not None, against is not None or registers is not None
    if ((past or registers is not None) and (against is not None or follow)) or (past and beside):
        raise typer.BadParameter(t("message.replay_past_or_present"))
    exported = ExportedRegisters(registers) if registers is not None else None
    trail = SubjectTrail(firm_code(subject)) if subject else None
    with ExitStack() as stack:
        source = stack.enter_context(opened(material))
        run = stack.enter_context(ReplayRun(source, domain_tables(tables), jobs=jobs))
        see: Callable[[ReplayedStep], None] = trail.see if trail is not None else _nobody
        stop = _stop(as_of, until) if exported is None else replaying.at_position(exported.position())
        with watched() as watch:
            findings = list(run.go(stop, see, watch))
        if exported is not None:
            findings += run.compare(exported)
        if against is not None:
            findings += _against(run, against)
        again = None
        if re_evaluate:
            node = ReplayedNode(name=source.node, federation=source.domain, tables=domain_tables(tables))
            with run.scratch.read() as connection:
                again = reevaluate(connection, node, _shipped())
            findings += again.findings
        if trail is not None:
            findings = [each for each in findings if not each.evidence.get("register") or trail.concerns(each)]
        _print(out, run, findings, again, trail, follow=follow)
        if follow:
            _follow(out, run, see, against)
    finish(verdict(findings))


def _nobody(_step: ReplayedStep) -> None:
    """Sees nothing."""


def _shipped() -> dict[str, RuleSet]:
    """Editions of the rules that came with the program."""
    found = [RuleSet.load(content) for name, content in read_all().items() if name.endswith("recognition.toml")]
    return {each.digest: each for each in found}


def _stop(as_of: datetime | None, until: int | None) -> Stop:
    """Where the walk ends."""
    stops: list[Stop] = []
    if as_of is not None:
        stops.append(replaying.as_of(as_of if as_of.tzinfo is not None else as_of.astimezone(UTC)))
    if until is not None:
        stops.append(replaying.until(until))

    def stop(book: LogHead, index: int, event: JournalEntry) -> bool:
        return any(each(book, index, event) for each in stops)

    return stop


def _against(run: ReplayRun, profile: Path) -> list[Finding]:
    """What differs on a running node."""
    with client(profile) as node:
        registers = NodeRegisters(node)
        there = registers.position()
        if there.journal == run.done.journal:
            # Grants and the like are made by the journal alone: what it says behind the material comes from the node.
            run.take_lines(registers.lines(there.journal, run.done.next, there.size))
        return list(run.compare(registers))


def _follow(out: Output, run: ReplayRun, see: Callable[[ReplayedStep], None], against: Path | None) -> None:
    """Go on as the material grows, until the caller stops."""
    while True:
        time.sleep(FOLLOW_SECONDS)
        before = run.done.steps
        try:
            findings = list(run.go(see=see))
        except FolderUnreadable:
            continue  # it is being exported again
        if run.done.steps == before and not findings:
            continue
        if against is not None:
            findings += _against(run, against)
        if out.as_json:
            out.line(_walked(run) | {"findings": finding_dicts(findings)}, now=True)
        else:
            out.say(_summary(run))
            print_findings(out, findings)


def _walked(run: ReplayRun) -> dict[str, Any]:
    done = run.done
    return {
        "steps": done.steps,
        "entries": done.entries,
        "changes": done.changes,
        "journal": done.journal,
        "next": done.next,
        "digest": done.digest.hex(),
    }


def _summary(run: ReplayRun) -> str:
    done = run.done
    return t(
        "message.replayed",
        steps=done.steps,
        entries=done.entries,
        changes=done.changes,
        place=f"{done.journal}#{done.next}",
        digest=done.digest.hex(),
    )


def _print(
    out: Output,
    run: ReplayRun,
    findings: list[Finding],
    again: Reevaluated | None,
    trail: SubjectTrail | None,
    *,
    follow: bool,
) -> None:
    if out.as_json:
        value: dict[str, Any] = _walked(run) | {"findings": finding_dicts(findings)}
        if again is not None:
            value["re_evaluated"] = {"same": again.same, "unknown": again.unknown, "differ": len(again.findings)}
        if trail is not None:
            value["subject"] = [_touch(each) for each in trail.touches]
        if follow:
            out.line(value, now=True)  # the first of many: one a line
        else:
            out.value(value)
        return
    out.say(_summary(run))
    if trail is not None:
        out.table(
            ("at", "place", "record_id", "revision", "kind", "outcome", "tombstone", "cause", "journaled"),
            _rows(trail),
        )
    if again is not None:
        out.say(
            t("message.re_evaluated", same=again.same, differ=len(again.findings), unknown=again.unknown),
            style="" if again.findings else "green",
        )
    print_findings(out, findings)
    if not findings:
        out.say(t("message.replay_agrees"), style="green")


def _rows(trail: SubjectTrail) -> Iterator[tuple[object, ...]]:
    for each in trail.touches:
        yield (
            instant(each.at),
            f"{each.log[0]}#{each.log[1]}",
            format_id(each.record_id),
            each.revision,
            words.kind_word(each.kind),  # type: ignore[arg-type]
            word("outcome", _outcome(each.outcome)) if each.outcome else "",
            each.tombstone,
            each.cause or "",
            f"{each.journal[0]}#{each.journal[1]}",
        )


def _outcome(number: int) -> str:
    return enum_name(Outcome, number, "OUTCOME_")


def _touch(each: Touch) -> dict[str, Any]:
    return {
        "at": instant(each.at).isoformat(),
        "journal": f"{each.journal[0]}#{each.journal[1]}",
        "entry": f"{each.log[0]}#{each.log[1]}",
        "origin": each.origin,
        "record_id": format_id(each.record_id),
        "revision": each.revision,
        "kind": each.kind,
        "outcome": _outcome(each.outcome) if each.outcome else "",
        "tombstone": each.tombstone,
        "cause": each.cause,
    }

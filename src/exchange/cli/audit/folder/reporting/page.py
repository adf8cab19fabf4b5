"""The page: claims first, then keys, time, recognition, rotations, findings, and a section for each firm asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import Any, Final

from exchange.cli.audit.folder.found import facts_of
from exchange.cli.audit.folder.reporting.chart import life_chart
from exchange.cli.audit.folder.reporting.markup import Markup, joined, tag
from exchange.cli.calls.shown.words import kind_word, lane_word
from exchange.cli.details import needed, told
from exchange.cli.texts import language, reason_text, reasons, t, word
from exchange.domain.record_index import is_recognised_kind
from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.export.papers.scope_words import scope_words
from exchange.flows.audit.folder.about import About
from exchange.flows.audit.report.events import Journaled, Told
from exchange.flows.audit.report.keys import Key
from exchange.flows.audit.report.lives import OUTCOMES, Counted, Life, moment
from exchange.flows.audit.report.subjects import AboutSubject
from exchange.flows.audit.verify.claims import Against, Result, Verdict
from exchange.v1.kind_pb2 import Kind, Outcome

MAX_FINDINGS: Final = 1_000
"""Findings on the page; the JSON of ``audit verify`` has all."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Nothing is fetched and nothing runs, whatever the page says."""

_LOCAL = timezone(timedelta(hours=8))


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everything that the page tells.

    Attributes:
        result: What verifying came to.
        about: What the folder says of itself; None where that can not be read.
        proofs: SHA-256 of each file that a finding names, as it lies there.
        counted: Entries by kind and outcome, by log.
    """

    result: Result
    about: About | None
    made_at: datetime
    lives: Sequence[Life]
    counted: Mapping[str, Counted]
    keys: Sequence[Key]
    journaled: Journaled
    proofs: Mapping[str, str]
    subjects: Mapping[str, Sequence[AboutSubject]]


def page(story: Story) -> str:
    """The whole page as HTML."""
    title = t("report.title")
    sections = [
        _head(story, title),
        _claims(story.result),
        _keys(story),
        _exchange(story),
        _lag(story),
        _recognition(story),
        _rotations(story),
        _findings(story),
        _events(story.journaled),
        *(_subject(uscc, found) for uscc, found in story.subjects.items()),
        _foot(story),
    ]
    html = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
            tag("meta", name="viewport", content="width=device-width"),
            tag("title", title),
            tag("style", Markup(_style())),
        ),
        tag("body", tag("main", *sections)),
        lang="zh-CN" if language() == "zh" else "en",
    )
    return f"<!doctype html>\n{html}\n"


def _style() -> str:
    return (files("exchange.cli") / "tables" / "report.css").read_text("utf-8")


def _head(story: Story, title: str) -> Markup:
    result, about = story.result, story.about
    colour = {Verdict.PROVEN: "good", Verdict.REFUTED: "bad"}.get(result.verdict, "open")
    facts: list[tuple[str, object]] = []
    if about is not None:
        facts = [
            ("node", f"{about.node}.{about.domain}"),
            ("exported_at", when(about.exported_at)),
            ("scope", scope_words(about.scope, language())),
        ]
    facts += [("made_at", when(story.made_at)), *(("believed", each) for each in result.policy or ("–",))]
    return tag(
        "header",
        tag("h1", title),
        tag("p", word("audit_verdict", result.verdict.value), class_=f"verdict {colour}", id="verdict"),
        tag("dl", *(joined(tag("dt", t(f"report.{name}")), tag("dd", value)) for name, value in facts)),
    )


def _claims(result: Result) -> Markup:
    rows = [
        (
            int(claim.no),
            word("audit_claim", claim.no.name),
            tag("span", word("claim_outcome", claim.outcome.value), class_=f"outcome {claim.outcome.value}"),
            joined(*(tag("div", f"{needed(each.what)} {told(each.of)}") for each in claim.missing[:8])),
            joined(*(tag("div", f"{name} {value}") for name, value in facts_of(claim))),
        )
        for claim in result.claims
    ]
    return _section("claims", ("no", "claim", "outcome", "missing", "facts"), rows)


def _findings(story: Story) -> Markup:
    result = story.result
    if not result.findings:
        return _section("findings", (), (), said=t("report.no_findings"))
    rows = [_finding(number, found, story.proofs) for number, found in enumerate(result.findings[:MAX_FINDINGS], 1)]
    more = len(result.findings) - len(rows) + result.further
    said = t("report.more_findings", count=more) if more else ""
    return _section("findings", ("number", "claim", "place", "fact", "proof"), rows, said=said)


def _finding(number: int, found: Against, proofs: Mapping[str, str]) -> tuple[object, ...]:
    finding = found.finding
    place = [f"{finding.log}#{finding.index}" if finding.index is not None else finding.log]
    digests = [tag("div", f"{name} ", tag("code", value)) for name, value in finding.evidence.items()]
    if finding.file in proofs:
        digests.insert(0, tag("div", "SHA-256 ", tag("code", proofs[finding.file])))
    byte = f" @{finding.byte}" if finding.byte is not None else ""
    return (
        tag("a", number, id=f"finding-{number}"),
        word("audit_claim", found.no.name) if int(found.no) else t("report.material"),
        joined(*(tag("div", each) for each in place if each)),
        joined(tag("b", finding.code), " ", _reason(finding.code), " ", told(finding.detail)),
        joined(tag("div", tag("code", f"{finding.file}{byte}")), *digests) if finding.file else joined(*digests),
    )


def _keys(story: Story) -> Markup:
    cosigners = [
        (log["origin"], log["size"], log.get("root", ""), log.get("cosigner", ""), _cosigned(log))
        for log in story.result.logs
        if log["size"]
    ]
    rows = [
        (
            key.node,
            word("announced_use", key.use),
            tag("code", key.key_id),
            word("key_state", key.state),
            when(key.valid_from),
            when(key.valid_until),
            key.place,
        )
        for key in story.keys
    ]
    return joined(
        _section("heads", ("log", "size", "root", "cosigner", "cosigned_at"), cosigners),
        _section("keys", ("node", "use", "key", "state", "from", "until", "place"), rows),
    )


def _exchange(story: Story) -> Markup:
    drawn = [
        tag("figure", tag("figcaption", _log_name(life)), life_chart(life, f"{life.origin} {life.size}"))
        for life in story.lives
        if life.logged
    ]
    legend = tag(
        "p",
        tag("span", t("report.logged"), class_="key logged"),
        tag("span", t("report.seen"), class_="key seen"),
        tag("span", t("report.outage"), class_="key outage"),
        class_="legend",
    )
    rows = [
        (_log_name(life), when(moment(each.begin)), when(moment(each.end)), each.entries,
         span(each.end - each.begin))
        for life in story.lives
        for each in life.outages()
    ]  # fmt: skip
    return joined(
        tag("section", tag("h2", t("report.exchange")), legend, *drawn, id="exchange"),
        _section("outages", ("log", "from", "until", "entries", "length"), rows, said=_nothing(rows)),
    )


def _lag(story: Story) -> Markup:
    rows = []
    for life in story.lives:
        kinds = sorted(set(life.kinds) - {0})
        for kind in kinds:
            lags = life.lags(kind)
            if lags:
                half, most = lags[len(lags) // 2], lags[min(len(lags) - 1, len(lags) * 95 // 100)]
                rows.append((_log_name(life), _kind(kind), len(lags), span(half), span(most), span(lags[-1])))
    return _section("lag", ("log", "kind", "entries", "median", "p95", "longest"), rows, said=_nothing(rows))


def _recognition(story: Story) -> Markup:
    rows = []
    for life in story.lives:
        counted = story.counted[life.origin]
        for kind in sorted({kind for kind, _ in counted if kind and is_recognised_kind(kind)}):  # type: ignore[arg-type]
            cells = [counted.get((kind, outcome), 0) for outcome in (*OUTCOMES, 0)]
            rows.append((_log_name(life), _kind(kind), sum(cells), *cells))
    named = [word("outcome", Outcome.Name(each).removeprefix("OUTCOME_")) for each in OUTCOMES]
    headings = (*_headings(("log", "kind", "entries")), *named, t("report.unanswered"))
    return _table_section("recognition", headings, rows, said=_nothing(rows))


def _rotations(story: Story) -> Markup:
    rows = [
        (when(key.announced_at), key.node, word("announced_use", key.use), tag("code", key.replaces),
         tag("code", key.key_id), word("key_state", key.state), key.place)
        for key in story.keys
        if key.replaces
    ]  # fmt: skip
    headings = ("at", "node", "use", "old_key", "key", "state", "place")
    return _section("rotations", headings, rows, said=_nothing(rows))


def _events(journaled: Journaled) -> Markup:
    rows = [
        (when(event.at), word("journal_event", event.what), _event(event), event.detail, f"{event.log}#{event.index}")
        for event in journaled.events
    ]
    said = t("report.more_events", count=journaled.further) if journaled.further else _nothing(rows)
    counts = [(word("journal_line", name), count) for name, count in sorted(journaled.counts.items())]
    return joined(
        _section("events", ("at", "event", "what", "detail", "place"), rows, said=said),
        _section("journal", ("event", "count"), counts, said=_nothing(counts)),
    )


def _event(event: Told) -> str:
    match event.what:
        case "ALARM":
            return f"{event.code} {_reason(event.code)} {word('alarm_change', event.change)}"
        case "ROTATION":
            return f"{event.code} {word('rotation_step', event.change)}"
        case "EDITION":
            return word("edition_what", event.code)
        case "EPOCH":
            return word("epoch_reason", event.code)
        case "TRUST":
            return f"{event.code} {word('trust_decision', event.change)}"
    return event.code


def _subject(uscc: str, found: Sequence[AboutSubject]) -> Markup:
    rows = [
        (
            each.on,
            _kind(each.kind),
            each.origin,
            tag("code", each.record_id),
            each.revision,
            when(moment(each.logged)),
            when(moment(each.seen)) if each.seen is not None else "",
            word("outcome", enum_name(Outcome, each.outcome, "OUTCOME_")) if each.outcome else "",
            joined(tag("div", each.place), tag("div", each.file, class_="file")),
        )
        for each in found
    ]
    headings = ("day", "kind", "node", "record", "revision", "logged", "seen", "outcome", "place")
    return tag(
        "section",
        tag("h2", t("report.subject", uscc=uscc)),
        tag("p", t("report.subject_note")),
        _table(_headings(headings), rows) if rows else tag("p", t("report.nothing")),
        id=f"subject-{uscc}",
        class_="own-page",
    )


def _foot(story: Story) -> Markup:
    problems = [each for life in story.lives for each in life.problems] + story.journaled.problems
    return tag(
        "footer",
        tag("p", t("report.foot")),
        tag("p", t("report.unread", count=len(problems))) if problems else None,
        *(tag("div", tag("code", each)) for each in problems[:20]),
    )


# -- pieces ---------------------------------------------------------------------------------------------------------


def _section(name: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], said: str = "") -> Markup:
    return _table_section(name, _headings(headings), rows, said)


def _table_section(name: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], said: str = "") -> Markup:
    listed = list(rows)
    return tag(
        "section",
        tag("h2", t(f"report.{name}")),
        _table(headings, listed) if listed else None,
        tag("p", said) if said else None,
        id=name,
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", each) for each in headings))),
        tag("tbody", *(tag("tr", *(_cell(each) for each in row)) for row in rows)),
    )


def _cell(value: Any) -> Markup:
    if isinstance(value, int) and not isinstance(value, bool):
        return tag("td", f"{value:,}", class_="number")
    return tag("td", value)


def _headings(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(t(f"report_heading.{each}") for each in names)


def _nothing(rows: Sequence[object]) -> str:
    return "" if rows else t("report.nothing")


def _log_name(life: Life) -> str:
    return f"{life.origin} ({word('log_use', life.use.upper())} {lane_word(life.lane)})"  # type: ignore[arg-type]


def _kind(kind: int) -> str:
    return kind_word(kind) or (Kind.Name(kind) if kind in Kind.values() else str(kind))  # type: ignore[arg-type]


def _reason(code: str) -> str:
    return reason_text(code).message if code in reasons().codes else ""


def when(at: datetime | None) -> str:
    """An instant in the officers' time, UTC+8; empty where there is none."""
    return at.astimezone(_LOCAL).strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def _cosigned(log: Mapping[str, Any]) -> str:
    at = log.get("checkpoint_time", "")
    return when(datetime.fromisoformat(at)) if at else ""


def span(seconds: int) -> str:
    """A length of time."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}" if minutes else f"{rest} s"

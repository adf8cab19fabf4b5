"""``rules``: by which rules a node recognises, why it decided as it did, and what another edition would decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, KindOption, ProfileOption, ReasonOption, client, read_kind
from exchange.cli.output import Exit, Output, as_dict, finish, moment
from exchange.cli.texts import t, word
from exchange.domain.recognising.recognition import MAX_RULE_FILE, RuleSet
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Condition, Kind
from exchange.v1.operation_service_pb2 import (
    ActivateRulesRequest,
    DecisionChange,
    DiffRulesRequest,
    RedecideRecordsRequest,
    RuleDecision,
)
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.rule_pb2 import RuleApproval, RuleEdition, RuleView
from exchange.v1.rule_service_pb2 import (
    ExplainedDecision,
    ExplainRecognitionRequest,
    ListEquivalencesRequest,
    ListRulesRequest,
    StatedEquivalence,
)
from exchange.v1.standards_equivalence_pb2 import EquivalenceRelation

if TYPE_CHECKING:
    from exchange.rpc.client import Client

app = typer.Typer(help=t("help.rules"), no_args_is_help=True)

EditionArgument = Annotated[str, typer.Argument(help=t("option.edition"))]
OtherArgument = Annotated[str, typer.Argument(help=t("option.other_edition"))]
FileArgument = Annotated[Path, typer.Argument(help=t("option.rule_file"), exists=True, dir_okay=False)]
OriginOption = Annotated[str, typer.Option("--origin", help=t("option.origin"))]
FactsOption = Annotated[bool, typer.Option("--content", help=t("option.rule_content"))]

_EDITION = ("edition", "effective_from", "effective_until", "replaces", "approvals", "digest")
_RULE = ("rule", "kind", "outcome", "conditions", "text")


@app.command("list", help=t("help.rules_list"))
def list_editions(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List editions, and which schemes' levels count as the same."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.rules.ListRules, ListRulesRequest())
        equal = node.call(node.rules.ListEquivalences, ListEquivalencesRequest())
    if out.as_json:
        out.value({**as_dict(answer), **as_dict(equal)})
        return
    out.table(_EDITION, [_edition_cells(each) for each in answer.editions], title=t("title.editions"))
    out.table(
        ("left", "right", "level", "relation", "source"),
        [
            (
                each.left,
                each.right,
                ", ".join(word("level", level) for level in each.levels),
                each.relation,
                each.source,
            )
            for each in equal.equivalences
        ],
        title=t("title.equivalences"),
    )
    if equal.stated:
        out.table(
            ("record_id", "left", "right", "relation", "approvals", "approved"),
            [_stated_cells(each) for each in equal.stated],
            title=t("title.stated"),
        )
    if answer.require_approvals:
        out.say(t("message.approvals_required"))
    elif not all(each.approvals for each in answer.editions):
        out.say(t("message.rules_not_approved"))


@app.command("show", help=t("help.rules_show"))
def show_edition(
    edition: EditionArgument,
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    content: FactsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show one edition with its rules in words, or its file."""
    out = Output(as_json)
    request = ListRulesRequest(edition=edition, kind=read_kind(kind), include_content=content)
    with client(profile) as node:
        (found,) = node.call(node.rules.ListRules, request).editions
    if out.as_json:
        out.value(as_dict(found))
        return
    if content:
        out.say(found.content.decode())
        return
    _print_edition(out, found)
    out.table(_RULE, [_rule_cells(rule) for rule in found.rules])


@app.command("explain", help=t("help.rules_explain"))
def explain(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    as_json: JsonOption = False,
) -> None:
    """Tell each decision about a record in words; exit status 3 when there is none yet."""
    out = Output(as_json)
    request = ExplainRecognitionRequest(ref=RecordRef(origin=origin, record_id=record))
    with client(profile) as node:
        answer = node.call(node.rules.ExplainRecognition, request)
    if out.as_json:
        out.value(as_dict(answer))
    else:
        for decision in answer.decisions:
            _print_decision(out, decision, answer.legal_date)
        if not answer.decisions:
            out.say(t("message.not_decided"))
    if not answer.decisions:
        finish(Exit.UNDECIDABLE)


@app.command("diff", help=t("help.rules_diff"))
def diff(
    edition_a: EditionArgument,
    edition_b: OtherArgument,
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    origin: OriginOption = "",
    as_json: JsonOption = False,
) -> None:
    """List which decisions another edition would change, page by page; exit status 1 when there are some."""
    out = Output(as_json)
    request = DiffRulesRequest(edition_a=edition_a, kind=read_kind(kind), origin=origin)
    if Path(edition_b).is_file():
        request.content_b = Path(edition_b).read_bytes()
    else:
        request.edition_b = edition_b
    changed = unknown = 0
    counts = {"examined": 0, "outside": 0}
    with client(profile) as node:
        for page in _stretches(node, request):
            counts["examined"] += page.examined
            counts["outside"] += page.outside
            changed += sum(1 for each in page.changes if not each.missing_fact)
            unknown += sum(1 for each in page.changes if each.missing_fact)
            if out.as_json:
                for each in page.changes:
                    out.line(as_dict(each))
            elif page.changes:
                headings = ("record_id", "kind", "own_date", "decided_at", "before", "after", "basis")
                out.table(headings, [_change_cells(each) for each in page.changes])
    if out.as_json:
        out.line({**counts, "changed": changed, "unknown": unknown})
    out.say(t("message.rules_diff", changed=changed, unknown=unknown, **counts))
    if changed or unknown:
        finish(Exit.FINDING)


@app.command("validate", help=t("help.rules_validate"))
def validate(
    file: FileArgument,
    profile: ProfileOption = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help=t("option.rules_offline"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a rule file by itself, and against the editions of the node unless told not to."""
    out = Output(as_json)
    content = file.read_bytes()
    edition = RuleSet.load(content)
    if not offline:
        with client(profile) as node:
            request = ActivateRulesRequest(content=content, validate_only=True)
            node.call(node.operation.ActivateRules, request)
    count = sum(len(each) for each in edition.rules.values())
    if out.as_json:
        out.value({"edition": edition.edition, "digest": edition.digest, "rules": count})
    out.say(t("message.rules_valid", edition=edition.edition, count=count, digest=edition.digest))


@app.command("activate", help=t("help.rules_activate"))
def activate(
    file: FileArgument, reason: ReasonOption, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Ask for bringing in an edition; the other role confirms. What was decided stays."""
    request = ActivateRulesRequest(content=file.read_bytes()[: MAX_RULE_FILE + 1], reason=reason)
    with client(profile) as node:
        answer = node.call(node.operation.ActivateRules, request)
    out = Output(as_json)
    if not out.as_json:
        _print_edition(out, answer.edition)
    print_waiting(out, answer.action)


@app.command("redecide", help=t("help.rules_redecide"))
def redecide(
    edition: EditionArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    origin: OriginOption = "",
    as_json: JsonOption = False,
) -> None:
    """Ask for deciding again what an edition decides otherwise; the other role confirms."""
    out = Output(as_json)
    request = RedecideRecordsRequest(edition=edition, kind=read_kind(kind), origin=origin, reason=reason)
    with client(profile) as node:
        answer = node.call(node.operation.RedecideRecords, request)
    out.say(t("message.would_change", count=answer.would_change))
    if answer.HasField("action"):
        print_waiting(out, answer.action)
    elif out.as_json:
        out.value({"wouldChange": 0})


def _stretches(node: Client, request: DiffRulesRequest) -> Iterator[Any]:
    """Answers of DiffRules until all of history was looked at."""
    while True:
        answer = node.call(node.operation.DiffRules, request)
        yield answer
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            return


def _approvals(approvals: Iterable[RuleApproval]) -> str:
    said = [f"{each.node} {each.document_no} {each.approved_on}" for each in approvals]
    return "; ".join(said) or t("word.none")


def _edition_cells(edition: RuleEdition) -> tuple[object, ...]:
    return (
        edition.edition,
        edition.effective_from,
        edition.applies_until,
        ", ".join(edition.replaces),
        _approvals(edition.approvals),
        edition.digest[:16],
    )


def _print_edition(out: Output, edition: RuleEdition) -> None:
    out.facts(
        [
            *zip(_EDITION, _edition_cells(edition), strict=True),
            ("status", edition.status),
            ("legal_basis", "; ".join(edition.legal_basis)),
            ("since", moment(edition.activated_at)),
        ]
    )


def _rule_cells(rule: RuleView) -> tuple[object, ...]:
    condition = Condition.Name(rule.condition).removeprefix("CONDITION_") if rule.condition else ""
    return (
        rule.rule_id,
        words.kind_word(rule.kind) if rule.kind != Kind.KIND_UNSPECIFIED else "",
        words.outcome_word(rule.outcome) or rule.fact,
        word("condition", condition) if condition else "",
        rule.text or t("message.edition_not_here"),
    )


def _print_decision(out: Output, decision: ExplainedDecision, legal_date: str) -> None:
    cause = DecisionCause.Name(decision.cause).removeprefix("DECISION_CAUSE_")
    out.facts(
        (
            ("decided_by", decision.decided_by),
            ("decided_at", moment(decision.decided_at)),
            ("revision", decision.decision_revision),
            ("cause", word("decision_cause", cause)),
            ("outcome", words.outcome_word(decision.outcome)),
            ("reasons", words.reason_words(decision.reasons)),
            ("conditions", words.condition_words(decision.conditions)),
            ("waits_for", "; ".join(decision.waits_for)),
            ("own_date", legal_date),
            ("rule_edition", decision.rule_edition),
            ("status", decision.edition.status),
            ("legal_basis", "; ".join(decision.edition.legal_basis)),
            ("approvals", _approvals(decision.edition.approvals) if decision.HasField("edition") else ""),
            ("log", f"{decision.log}#{decision.index}"),
        ),
        title=t("title.decision"),
    )
    out.table(_RULE, [_rule_cells(rule) for rule in decision.rules], title=t("title.rules_fired"))
    facts = [(fact.name, fact.code, fact.value) for fact in decision.facts]
    title = t("title.facts_listed") if decision.facts_listed else t("title.facts_read")
    out.table(("name", "code", "value"), facts, title=title)
    if decision.parts:
        out.table(
            ("part", "outcome", "reasons", "conditions"),
            [
                (
                    part.part,
                    words.outcome_word(part.outcome),
                    words.reason_words(part.reasons),
                    words.condition_words(part.conditions),
                )
                for part in decision.parts
            ],
            title=t("title.parts"),
        )


def _change_cells(change: DecisionChange) -> tuple[object, ...]:
    basis = "MISSING" if change.missing_fact else "FACTS" if change.by_facts else "BODY"
    said = f"{word('diff_basis', basis)} {change.missing_fact}".strip()
    return (
        change.ref.record_id,
        words.kind_word(change.kind),
        change.legal_date,
        change.decided_on,
        _decision_words(change.before) if change.HasField("before") else _decision_words(change.recorded),
        _decision_words(change.after) if change.HasField("after") else "",
        said,
    )


def _decision_words(decision: RuleDecision) -> str:
    """Outcome and reason codes, as in 有条件互认 GREEN_BY_BONUS."""
    return " ".join((words.outcome_word(decision.outcome), *decision.reasons))


def _stated_cells(stated: StatedEquivalence) -> tuple[object, ...]:
    body = stated.equivalence
    return (
        stated.ref.record_id,
        *(" ".join(filter(None, (each.node, each.standard_no, each.code))) for each in (body.left, body.right)),
        EquivalenceRelation.Name(body.relation).removeprefix("EQUIVALENCE_RELATION_"),
        ", ".join(stated.approved_by),
        stated.approved,
    )

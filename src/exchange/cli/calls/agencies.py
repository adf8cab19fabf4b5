"""``agencies``: who may do what. For security officers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.calls.pages import show, walk
from exchange.cli.options import DEFAULT_LIMIT, JsonOption, LimitOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, Undecidable, as_dict, finish
from exchange.cli.texts import t
from exchange.crypto.certificates import load_chain, spki_hash
from exchange.domain import kinds
from exchange.domain.agency_form import check_agency, format_agency, read_agency
from exchange.domain.problems import Refused
from exchange.v1.security_service_pb2 import (
    Agency,
    Grant,
    ListAgenciesRequest,
    PutAgencyRequest,
    SuspendAgencyRequest,
    Verb,
)

app = typer.Typer(help=t("help.agencies"), no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help=t("option.agency"))]
_HEADINGS = ("agency", "display_name", "suspended", "grants", "authorities", "bound_keys")


@app.command("list", help=t("help.agencies_list"))
def list_agencies(
    profile: ProfileOption = None, *, limit: LimitOption = DEFAULT_LIMIT, as_json: JsonOption = False
) -> None:
    """List agencies and their grants."""
    out = Output(as_json)
    with client(profile) as node:
        rows = list(walk(node, node.security.ListAgencies, ListAgenciesRequest(), "agencies", limit))
    show(out, "agencies", rows, _HEADINGS, _cells)


@app.command("show", help=t("help.agencies_show"))
def show_agency(name: NameArgument, profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Show one agency, in the form that ``apply`` takes."""
    out = Output(as_json)
    found = _find(profile, name)
    if out.as_json:
        out.value(as_dict(found))
    else:
        typer.echo(format_agency(found), nl=False)


@app.command("apply", help=t("help.agencies_apply"))
def apply(
    files: Annotated[list[Path], typer.Argument(help=t("option.agency_files"), exists=True, dir_okay=False)],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("option.check_only"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring in agencies and their grants from TOML files; each change is journaled."""
    out = Output(as_json)
    agencies = [read_agency(path.name, path.read_bytes()) for path in files]
    problems = [problem for agency in agencies for problem in check_agency(agency, domain_tables())]
    if problems:
        raise Refused(problems)
    if dry_run:
        out.say(t("message.no_mistakes"))
        finish(Exit.DONE)
    applied = []
    with client(profile) as node:
        for agency in agencies:
            answer = node.call(node.security.PutAgency, PutAgencyRequest(agency=agency, reason=reason))
            applied.append(answer)
            out.say(t("message.applied", name=answer.agency.name, index=answer.journal_index))
    if out.as_json:
        out.value({"applied": [as_dict(answer) for answer in applied]})


@app.command("bind", help=t("help.agencies_bind"))
def bind(
    name: NameArgument,
    certificate: Annotated[Path, typer.Argument(help=t("option.certificate"), exists=True, dir_okay=False)],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Bind the public key of a certificate without URI name to an agency."""
    out = Output(as_json)
    key = spki_hash(load_chain(certificate.read_bytes())[0])
    found = _find(profile, name)
    if key not in found.bound_keys:
        found.bound_keys.append(key)
    with client(profile) as node:
        answer = node.call(node.security.PutAgency, PutAgencyRequest(agency=found, reason=reason))
    if out.as_json:
        out.value(as_dict(answer))
    out.say(t("message.bound", name=name, digest=key, index=answer.journal_index))


@app.command("suspend", help=t("help.agencies_suspend"))
def suspend(
    name: NameArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    lift: Annotated[bool, typer.Option("--lift", help=t("option.lift"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Suspend an agency, or lift its suspension."""
    out = Output(as_json)
    with client(profile) as node:
        request = SuspendAgencyRequest(name=name, suspended=not lift, reason=reason)
        answer = node.call(node.security.SuspendAgency, request)
    if out.as_json:
        out.value(as_dict(answer))
    out.table(_HEADINGS, [_cells(answer.agency)])


def _find(profile: Path | None, name: str) -> Agency:
    with client(profile) as node:
        rows = walk(node, node.security.ListAgencies, ListAgenciesRequest(), "agencies", 1_000_000)
        found: Agency | None = next((agency for agency in rows if agency.name == name), None)
    if found is None:
        raise Undecidable("NOT_FOUND", name)
    return found


def _cells(agency: Agency) -> tuple[object, ...]:
    return (
        agency.name,
        agency.display_name,
        agency.suspended,
        "\n".join(_grant(grant) for grant in agency.grants),
        "\n".join(agency.authorities),
        "\n".join(key[:16] for key in agency.bound_keys),
    )


def _grant(grant: Grant) -> str:
    of = ",".join(kinds.spec(kind).name for kind in grant.kinds if kind in kinds.KINDS)
    return " ".join(filter(None, (Verb.Name(grant.verb).removeprefix("VERB_"), of, ",".join(grant.areas))))

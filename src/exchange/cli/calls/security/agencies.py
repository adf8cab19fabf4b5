"""``agencies``: who may do what. For security officers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import LARGEST_PAGE, walk
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, Undecidable, as_dict, finish
from exchange.cli.texts import t
from exchange.crypto.x509.certificates import Certificate, load_chain, spki_hash, to_der
from exchange.domain import kinds
from exchange.domain.agency_form import QUOTAS, check_agency, format_agency, read_agency
from exchange.domain.problems import Refused
from exchange.v1.security_service_pb2 import (
    Agency,
    BindKeyRequest,
    Grant,
    ListAgenciesRequest,
    PutAgencyRequest,
    Quotas,
    SuspendAgencyRequest,
    Verb,
)

app = typer.Typer(help=t("help.agencies"), no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help=t("option.agency"))]
_HEADINGS = ("agency", "display_name", "suspended", "valid", "grants", "quotas", "authorities", "bound_keys")
_KEY_HASH = re.compile("[0-9a-f]{64}")


@app.command("list", help=t("help.agencies_list"))
def list_agencies(
    profile: ProfileOption = None,
    *,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List agencies and their grants."""
    out = Output(as_json)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.security.ListAgencies, ListAgenciesRequest(), "agencies", files.limit(limit))
        files.show(out, "agencies", _HEADINGS, rows, _cells)


@app.command("show", help=t("help.agencies_show"))
def show_agency(name: NameArgument, profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Show one agency, in the form that ``apply`` takes, and the limits that hold where it has no quota."""
    out = Output(as_json)
    found, limits = _find(profile, name)
    if out.as_json:
        out.value(as_dict(found) | {"effectiveQuotas": {each: _effective(found, limits, each) for each in QUOTAS}})
        return
    typer.echo(format_agency(found), nl=False)
    for each in QUOTAS:
        if not getattr(found.quotas, each):
            typer.echo(f"# {each} = {getattr(limits, each)}  ({t('message.node_limit')})")


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
    certificate: Annotated[str, typer.Argument(help=t("option.certificate_or_key"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    signing: Annotated[bool, typer.Option("--signing", help=t("option.bind_signing"))] = False,
    remove: Annotated[bool, typer.Option("--remove", help=t("option.unbind"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Bind the public key of a certificate without URI name to an agency, or let go of it."""
    out = Output(as_json)
    request = BindKeyRequest(name=name, remove=remove, reason=reason)
    if _KEY_HASH.fullmatch(certificate) and not signing:
        key = request.key_hash = certificate
    else:
        found = _leaf_of(Path(certificate))
        key = spki_hash(found)
        if signing:
            request.signing_certificate = to_der(found)
        else:
            request.key_hash = key
    with client(profile) as node:
        answer = node.call(node.security.BindKey, request)
    if out.as_json:
        out.value(as_dict(answer))
    done = "message.unbound" if remove else "message.bound"
    out.say(t(done, name=name, digest=key, index=answer.journal_index))


def _leaf_of(path: Path) -> Certificate:
    if not path.is_file():
        raise typer.BadParameter(t("message.no_certificate", name=str(path)))
    return load_chain(path.read_bytes())[0]


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


def _find(profile: Path | None, name: str) -> tuple[Agency, Quotas]:
    """The agency, and the node's own limits."""
    request = ListAgenciesRequest(page_size=LARGEST_PAGE)
    with client(profile) as node:
        while True:
            answer = node.call(node.security.ListAgencies, request)
            for agency in answer.agencies:
                if agency.name == name:
                    return agency, answer.limits
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                raise Undecidable("NOT_FOUND", name)


def _effective(agency: Agency, limits: Quotas, quota: str) -> int:
    granted: int = getattr(agency.quotas, quota)
    return granted or int(getattr(limits, quota))


def _cells(agency: Agency) -> tuple[object, ...]:
    return (
        agency.name,
        agency.display_name,
        agency.suspended,
        f"{agency.valid_from} – {agency.valid_until}" if agency.valid_from or agency.valid_until else "",
        "\n".join(_grant(grant) for grant in agency.grants),
        "\n".join(f"{each} {number}" for each in QUOTAS if (number := getattr(agency.quotas, each))),
        "\n".join(agency.authorities),
        "\n".join(key[:16] for key in agency.bound_keys),
    )


def _grant(grant: Grant) -> str:
    of = ",".join(kinds.spec(kind).name for kind in grant.kinds if kind in kinds.KINDS)
    return " ".join(filter(None, (Verb.Name(grant.verb).removeprefix("VERB_"), of, ",".join(grant.areas))))

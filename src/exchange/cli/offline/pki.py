"""``pki``: a small certificate authority for development and small deployments."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.offline.dev_pki import make_region
from exchange.cli.options import JsonOption
from exchange.cli.output import Output
from exchange.cli.private_files import make_private_folder, refuse_existing, write_new
from exchange.cli.texts import t
from exchange.crypto.keys import certificates_in
from exchange.crypto.trusted.possession import prove_authority
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, facts_of, load_chain, to_pem
from exchange.crypto.x509.pki import Authority
from exchange.crypto.x509.pki_profile import KeyKind, Profile
from exchange.domain.problems import Problem, Refused

app = typer.Typer(help=t("help.pki"), no_args_is_help=True)

LifetimesOption = Annotated[
    Path | None,
    typer.Option("--lifetimes", help=t("option.lifetimes"), exists=True, dir_okay=False, show_default=False),
]
CaOption = Annotated[Path, typer.Option("--ca", help=t("option.ca"), exists=True, file_okay=False)]

ROLES = ("server", "signing", "agency", "operator", "security", "auditor", "node")
"""What ``pki issue`` makes certificates for."""


@app.command("dev", help=t("help.pki_dev"))
def dev(
    folder: Annotated[Path, typer.Argument(help=t("option.dev_folder"), file_okay=False)],
    *,
    nodes: Annotated[list[str], typer.Option("--node", help=t("option.dev_node"))],
    domain: Annotated[str, typer.Option("--domain", help=t("option.domain"))] = "exchange.example",
    hosts: Annotated[list[str] | None, typer.Option("--host", help=t("option.host"))] = None,
    agencies: Annotated[list[str] | None, typer.Option("--agency", help=t("option.dev_agency"))] = None,
    lifetimes: LifetimesOption = None,
    rsa: Annotated[bool, typer.Option("--rsa", help=t("option.rsa"))] = False,
    sm2: Annotated[bool, typer.Option("--sm2", help=t("option.dev_sm2"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Make everything that nodes on one machine need: authorities, node certificates, clients with profiles."""
    out = Output(as_json)
    written: list[Path] = []
    for node in nodes:
        name, _, address = node.partition("=")
        written += make_region(
            folder / name,
            node=name,
            domain=domain,
            address=address or "localhost:8443",
            hosts=hosts or ["localhost", "127.0.0.1"],
            agencies=agencies or ["bureau"],
            profile=read_lifetimes(lifetimes),
            now=datetime.now(UTC),
            rsa=rsa,
            sm2=sm2,
        )
    if out.as_json:
        out.value({"written": [str(path) for path in written]})
    out.table(("file",), [(path,) for path in written], title=t("title.written"))
    out.say(t("message.dev_pki"))


@app.command("authority", help=t("help.pki_authority"))
def authority(
    name: Annotated[str, typer.Argument(help=t("option.ca_name"))],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.authority_folder"), file_okay=False)],
    parent: Annotated[
        Path | None,
        typer.Option("--ca", help=t("option.parent_ca"), exists=True, file_okay=False, show_default=False),
    ] = None,
    lifetimes: LifetimesOption = None,
    rsa: Annotated[bool, typer.Option("--rsa", help=t("option.rsa_key"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an authority: a root, or an intermediate one below the root that is named."""
    out = Output(as_json)
    profile, now = read_lifetimes(lifetimes), datetime.now(UTC)
    key = KeyKind.RSA_3072 if rsa else None
    made = (
        pki.create_root(profile, name, now=now, key=key)
        if parent is None
        else pki.create_intermediate(profile, load_authority(parent), name, now=now, key=key)
    )
    refuse_existing(output / "ca.key", output / "ca.pem")
    make_private_folder(output)
    write_new(output / "ca.key", made.key_pem, mode=0o600)
    write_new(output / "ca.pem", made.chain_pem, mode=0o644)
    facts = facts_of(made.certificate)
    if out.as_json:
        out.value(
            {
                "folder": str(output),
                "subject": facts.subject,
                "key": facts.key,
                "fingerprint": facts.fingerprint,
                "not_after": facts.not_after.isoformat(),
            }
        )
    out.facts(
        (
            ("file", output / "ca.pem"),
            ("subject", facts.subject),
            ("key_kind", facts.key),
            ("fingerprint", facts.fingerprint),
            ("until", facts.not_after),
        )
    )


@app.command("issue", help=t("help.pki_issue"))
def issue(
    role: Annotated[str, typer.Argument(help=t("option.role"), metavar="|".join(ROLES))],
    name: Annotated[str, typer.Argument(help=t("option.identity_name"))],
    *,
    ca: CaOption,
    node: Annotated[str, typer.Option("--node", help=t("option.node_name"))],
    domain: Annotated[str, typer.Option("--domain", help=t("option.domain"))],
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)],
    hosts: Annotated[list[str] | None, typer.Option("--host", help=t("option.host"))] = None,
    organisation: Annotated[str, typer.Option("--organisation", help=t("option.organisation"))] = "",
    request: Annotated[
        Path | None, typer.Option("--request", help=t("option.request"), exists=True, dir_okay=False)
    ] = None,
    lifetimes: LifetimesOption = None,
    rsa: Annotated[bool, typer.Option("--rsa", help=t("option.rsa_client"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Issue one certificate: for a request (the key stays where it is), or with a new key in the same file."""
    out = Output(as_json)
    if role not in ROLES:
        raise typer.BadParameter(t("message.unknown_choice", name=role, known=", ".join(ROLES)))
    profile, now = read_lifetimes(lifetimes), datetime.now(UTC)
    issuer = load_authority(ca)
    is_node = role in ("server", "signing", "node")
    identity = Identity(node=node, domain=domain, role=Role.NODE if is_node else Role(role), name=name)
    asked = request.read_bytes() if request else None
    if rsa and (asked is not None or role in ("server", "signing")):
        raise Refused([Problem("PKI_REQUEST", "--rsa", "only for a client's key that is made here")])
    if role == "server":
        made = pki.issue_server(profile, issuer, identity=identity, hosts=hosts or [], now=now, request=asked)
    elif role == "signing":
        made = pki.issue_signing(profile, issuer, identity=identity, organisation=organisation, now=now, request=asked)
    else:
        kind = KeyKind.RSA_3072 if rsa else None
        made = pki.issue_client(profile, issuer, identity=identity, now=now, request=asked, key=kind)
    write_new(output, made.bundle, mode=0o600 if made.key else 0o644)
    facts = facts_of(made.certificate)
    if out.as_json:
        out.value(
            {
                "file": str(output),
                "identity": facts.identity,
                "serial": facts.serial,
                "not_after": facts.not_after.isoformat(),
                "has_key": bool(made.key),
            }
        )
    out.facts(
        (
            ("file", output),
            ("identity", facts.identity),
            ("key_kind", facts.key),
            ("serial", facts.serial),
            ("until", facts.not_after),
        )
    )


@app.command("prove", help=t("help.pki_prove"))
def prove(
    *,
    ca: CaOption,
    node: Annotated[str, typer.Option("--node", help=t("option.node_name"))],
    domain: Annotated[str, typer.Option("--domain", help=t("option.domain"))],
    old: Annotated[Path, typer.Option("--old", help=t("option.old_root"), exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)],
    old_ca: Annotated[
        Path | None,
        typer.Option("--old-ca", help=t("option.old_ca"), exists=True, file_okay=False, show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the file by which a node announces its next authority: the root, and the signatures of both."""
    out = Output(as_json)
    roots = load_chain(old.read_bytes())
    issuer, before = load_authority(ca), load_authority(old_ca) if old_ca is not None else None
    if len(roots) != 1 or (before is not None and before.certificate != roots[0]):
        raise Refused([Problem("PKI_AUTHORITY", "--old", "one root, and that of --old-ca")])
    made = prove_authority(issuer, roots[0], before, federation=domain, node=node)
    write_new(output, made.to_pem(), mode=0o644)
    facts = facts_of(made.root)
    if out.as_json:
        out.value({"file": str(output), "fingerprint": facts.fingerprint, "endorsed": bool(made.endorsement)})
    out.facts((("file", output), ("subject", facts.subject), ("fingerprint", facts.fingerprint)))


@app.command("crl", help=t("help.pki_crl"))
def crl(
    ca: CaOption,
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)],
    revoke: Annotated[
        list[Path] | None, typer.Option("--revoke", help=t("option.revoke"), exists=True, dir_okay=False)
    ] = None,
    at: Annotated[str, typer.Option("--at", help=t("option.revoked_at"), show_default=False)] = "",
    lifetimes: LifetimesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the next revocation list; what was revoked before stays on it."""
    out = Output(as_json)
    now = datetime.now(UTC)
    instant = _instant(at) if at else now
    issuer = load_authority(ca)
    register = ca / "revoked.json"
    known: dict[str, Any] = json.loads(register.read_text()) if register.exists() else {"number": 0, "revoked": {}}
    for path in revoke or []:
        data = path.read_bytes()
        # As ``pki issue`` writes it: the certificate may stand behind its key.
        serial = facts_of(load_chain(certificates_in(data))[0]).serial
        # The first instant stands: revoking again must not make older signatures good.
        known["revoked"].setdefault(serial, instant.isoformat())
    known["number"] += 1
    revoked = [(_serial(serial), datetime.fromisoformat(when)) for serial, when in known["revoked"].items()]
    listed = pki.issue_crl(read_lifetimes(lifetimes), issuer, revoked, number=known["number"], now=now)
    make_private_folder(ca)
    # The register first: a list must never be followed by one with the same number and less on it.
    made = register.with_suffix(".new")
    made.write_text(json.dumps(known, indent=1) + "\n")
    made.replace(register)
    # With the authority's own certificate: whoever trusts the root alone can check the list then.
    output.write_bytes(listed + b"".join(to_pem(certificate) for certificate in issuer.chain[:-1]))
    if out.as_json:
        out.value({"file": str(output), "number": known["number"], "revoked": sorted(known["revoked"])})
    out.say(t("message.crl_written", file=output, number=known["number"], count=len(revoked)))


def read_lifetimes(path: Path | None) -> Any:
    """Lifetimes and kinds of keys: a file's, or those shipped with the program.

    Raises:
        ProfileRefused: The file has mistakes.
    """
    shipped = files("exchange.cli") / "tables" / "pki_profile.toml"
    return Profile.parse(path.read_bytes() if path else shipped.read_bytes())


def load_authority(folder: Path) -> Any:
    """An authority out of its folder: ``ca.key`` and ``ca.pem`` (own certificate first, root last).

    Raises:
        Refused: ``FILE_MISSING``, or they do not belong together.
    """
    try:
        return Authority.load(key=(folder / "ca.key").read_bytes(), chain=(folder / "ca.pem").read_bytes())
    except OSError as error:
        raise Refused([Problem("FILE_MISSING", str(error.filename), error.strerror or "")]) from None


def _serial(text: str) -> int:
    return int(re.sub(r"[^0-9A-Fa-f]", "", text), 16)


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(t("message.bad_instant", text=text))
    return found

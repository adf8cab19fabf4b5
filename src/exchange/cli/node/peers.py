"""``peers``: cards out and in, and whom this node trusts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.node.card import make_card
from exchange.cli.node.courier import courier
from exchange.cli.offline.trusted import read_card
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, ProfileOption, read_settings
from exchange.cli.output import Exit, Output, Undecidable, finish, problem_dicts
from exchange.cli.texts import t
from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.trusted.trust import SIGNING_CRL, TLS_CRL, TrustSet, to_trust_files
from exchange.crypto.x509.certificates import facts_of, load_chain
from exchange.domain.problems import Problem, Refused
from exchange.settings.model import ANY_ADDRESS
from exchange.settings.trust_folder import peer_names, read_peer, remove_peer, write_peer

app = typer.Typer(help=t("help.peers"), no_args_is_help=True)

app.command("courier", help=t("help.peers_courier"))(courier)

PeerArgument = Annotated[str, typer.Argument(help=t("option.peer"))]


@app.command("card", help=t("help.peers_card"))
def card(
    peer: Annotated[str, typer.Option("--for", help=t("option.card_for"))],
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)] = None,
    addresses: Annotated[list[str] | None, typer.Option("--address", help=t("option.card_address"))] = None,
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write this node's card for a peer, and print its fingerprint, which travels another way."""
    out = Output(as_json)
    settings = read_settings(node)
    if not addresses and settings.listen.peers.host in (ANY_ADDRESS, "::"):
        raise typer.BadParameter(t("message.address_needed"))
    made = make_card(settings, peer, addresses or [str(settings.listen.peers)])
    target = output or Path(f"{settings.node.name}-for-{peer}.card")
    target.write_text(made.to_text(), "utf-8")
    if out.as_json:
        out.value({"file": str(target), "fingerprint": made.fingerprint()})
    out.say(t("message.written", file=target))
    out.say(t("message.fingerprint", fingerprint=made.fingerprint()), style="bold")


@app.command("add", help=t("help.peers_add"))
def add(
    file: Annotated[Path, typer.Argument(help=t("option.card"), exists=True, dir_okay=False)],
    fingerprint: Annotated[str, typer.Option("--fingerprint", help=t("option.fingerprint"), show_default=False)] = "",
    node: NodeOption = DEFAULT_NODE_FILE,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Trust a peer by its card; refused without the fingerprint that came another way."""
    out = Output(as_json)
    settings = read_settings(node)
    # 1 the card is one, and is meant for this node
    found = read_card(file)
    ours = settings.node
    if found.addressee != ours.name or found.domain != ours.domain:
        detail = f"made for {found.addressee} of {found.domain}, this is {ours.name} of {ours.domain}"
        raise Refused([Problem("CARD_FOR_ANOTHER_NODE", str(file), detail)])
    # 2 a person compared it with what came another way
    if not fingerprint:
        raise Refused([Problem("FINGERPRINT_MISSING", str(file))])
    if not found.has_fingerprint(fingerprint):
        raise Refused([Problem("FINGERPRINT_WRONG", str(file))])
    # 3 the whole set holds, as the node will check it again
    files = to_trust_files(found, **_lists(settings.trust.folder, found.node))
    trusted = TrustSet.load(files)
    write_peer(settings.trust.folder, found.node, files)
    if out.as_json:
        out.value({"peer": found.node, "digest": trusted.digest, "addresses": list(found.addresses)})
    out.say(t("message.peer_added", name=found.node, authority=found.authority_name))
    if settings.peer(found.node) is None:
        dial = found.addresses[0] if found.addresses else "HOST:PORT"
        out.say(t("message.peer_not_dialled"))
        out.say(f'[[peer]]\nname = "{found.node}"\ndial = "{dial}"')
        out.say(t("message.peer_next_start"))
    elif profile is None:
        out.say(t("message.trust_noticed", seconds=2 * settings.trust.look_s))
    else:
        from exchange.cli.calls.security.trust import reload_by  # noqa: PLC0415  (the files' commands start without gRPC)

        reload_by(profile, out)


@app.command("list", help=t("help.peers_list"))
def list_peers(node: NodeOption = DEFAULT_NODE_FILE, *, as_json: JsonOption = False) -> None:
    """List the peers that are trusted or named in the node file; exit status 1 when one of them can not be used."""
    out = Output(as_json)
    settings = read_settings(node)
    names = sorted({*peer_names(settings.trust.folder), *(peer.name for peer in settings.peers)})
    rows: list[dict[str, object]] = []
    for name in names:
        link = settings.peer(name)
        problems, trusted = _load(settings.trust.folder, name)
        if link is None:
            problems = (*problems, Problem("PEER_NOT_IN_NODE_FILE", name))
        rows.append(
            {
                "peer": name,
                "transport": link.reaches_by if link else "",
                "dial": str(link.dial) if link and link.dial else "",
                "authority": trusted.card.authority_name if trusted else "",
                "digest": trusted.digest if trusted else "",
                "problems": problem_dicts(problems),
            }
        )
    if out.as_json:
        out.value({"peers": rows})
    out.table(
        ("peer", "transport", "dial", "authority", "digest", "reason"),
        [
            (r["peer"], r["transport"], r["dial"], r["authority"], str(r["digest"])[:16], _reasons(r["problems"]))
            for r in rows
        ],
    )
    finish(Exit.FINDING if any(row["problems"] for row in rows) else Exit.DONE)


@app.command("show", help=t("help.peers_show"))
def show(peer: PeerArgument, node: NodeOption = DEFAULT_NODE_FILE, *, as_json: JsonOption = False) -> None:
    """Show what is believed about a peer."""
    out = Output(as_json)
    settings = read_settings(node)
    problems, trusted = _load(settings.trust.folder, peer)
    if trusted is None:
        if any(problem.reason == "TRUST_MISSING" for problem in problems):
            raise Undecidable("TRUST_MISSING", peer)
        raise Refused(problems)
    found = trusted.card
    if out.as_json:
        out.value(_card_dict(found, trusted.digest))
        return
    out.facts(
        (
            ("peer", f"{found.node}.{found.domain}"),
            ("authority", f"{found.authority_name} {found.authority_uscc}"),
            ("duty_desk", found.duty_desk),
            ("addresses", ", ".join(found.addresses)),
            ("areas", ", ".join(found.areas)),
            ("fingerprint", found.fingerprint()),
            ("digest", trusted.digest),
        )
    )
    out.table(
        ("use", "from", "until", "vkey"),
        [(k.role.value, k.valid_from, k.valid_until, str(k.key)) for k in found.keys],
        title=t("title.keys"),
    )
    out.table(("use", "subject", "until", "fingerprint"), list(_roots(found)), title=t("title.roots"))


@app.command("remove", help=t("help.peers_remove"))
def remove(
    peer: PeerArgument,
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=t("option.yes"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop trusting a peer; its logs and records stay."""
    out = Output(as_json)
    settings = read_settings(node)
    if settings.peer(peer) is not None:
        raise Refused([Problem("PEER_STILL_DIALLED", f"peer {peer}")])
    if not yes:
        typer.confirm(t("message.confirm_remove", name=peer), abort=True, err=True)
    if not remove_peer(settings.trust.folder, peer):
        raise Undecidable("TRUST_MISSING", peer)
    if out.as_json:
        out.value({"removed": peer})
    out.say(t("message.peer_removed", name=peer))


def _lists(folder: Path, peer: str) -> dict[str, bytes]:
    """Revocation lists of the set before: a new card does not make revoked certificates good again."""
    try:
        before = read_peer(folder, peer)
    except OSError:
        return {}
    return {"tls_crl": before.get(TLS_CRL, b""), "signing_crl": before.get(SIGNING_CRL, b"")}


def _load(folder: Path, peer: str) -> tuple[tuple[Problem, ...], TrustSet | None]:

    try:
        return (), TrustSet.load(read_peer(folder, peer))
    except OSError:
        return (Problem("TRUST_MISSING", peer),), None
    except Refused as refused:
        return refused.problems, None


def _reasons(problems: object) -> str:
    return ", ".join(p["reason"] for p in problems) if isinstance(problems, list) else ""


def _roots(found: NodeCard) -> list[tuple[object, ...]]:

    rows: list[tuple[object, ...]] = []
    for use, pem in (("tls", found.tls_roots), ("signing", found.signing_roots)):
        facts = [facts_of(certificate) for certificate in load_chain(pem)]
        rows += [(use, fact.subject, fact.not_after, fact.fingerprint[:16]) for fact in facts]
    return rows


def _card_dict(found: NodeCard, digest: str) -> dict[str, object]:
    def instant(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return {
        "node": found.node,
        "domain": found.domain,
        "authority": {"uscc": found.authority_uscc, "name": found.authority_name},
        "duty_desk": found.duty_desk,
        "addresses": list(found.addresses),
        "areas": list(found.areas),
        "fingerprint": found.fingerprint(),
        "digest": digest,
        "keys": [
            {"use": k.role.value, "vkey": str(k.key), "from": instant(k.valid_from), "until": instant(k.valid_until)}
            for k in found.keys
        ],
    }

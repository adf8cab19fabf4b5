"""What the caller of ``audit verify`` believes, from what was typed in; a mistake in it is one of usage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.offline.trusted import read_card
from exchange.cli.texts import t
from exchange.crypto.dsse import ALGORITHMS
from exchange.crypto.trusted.node_card import NodeCard
from exchange.crypto.x509.certificates import load_chain
from exchange.crypto.x509.revocation import check_form
from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.verify.keys.believed import Believed, keys_of
from exchange.tlog import policy as tlog_policy

PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help=t("option.policy"), exists=True, dir_okay=False, show_default=False)
]
CardsOption = Annotated[
    list[Path] | None,
    typer.Option("--card", help=t("option.audit_card"), exists=True, dir_okay=False, show_default=False),
]
FingerprintsOption = Annotated[
    list[str] | None, typer.Option("--fingerprint", help=t("option.audit_fingerprint"), show_default=False)
]
RootsOption = Annotated[
    list[str] | None, typer.Option("--roots", help=t("option.audit_roots"), show_default=False, metavar="[NODE=]FILE")
]
ListsOption = Annotated[
    list[Path] | None,
    typer.Option("--crl", help=t("option.audit_crl"), exists=True, dir_okay=False, show_default=False),
]
RequireOption = Annotated[
    list[str] | None,
    typer.Option("--require", help=t("option.audit_require"), show_default=False, metavar="[NODE=]ALGORITHMS"),
]


def gather(
    *,
    policy: Path | None = None,
    cards: Sequence[Path] | None = None,
    fingerprints: Sequence[str] | None = None,
    roots: Sequence[str] | None = None,
    lists: Sequence[Path] | None = None,
    require: Sequence[str] | None = None,
) -> Believed:
    """Read what the caller names.

    Raises:
        CardRefused: A card has mistakes.
        Refused: ``FINGERPRINT_MISSING``, ``FINGERPRINT_WRONG``: a card is believed for the fingerprint that was typed.
        LogFormatError: The policy is none.
        CertificateUnreadable: The roots.
        RevocationUnreadable: A file of revocation lists is none; whose they are, is looked at later.
        typer.BadParameter: An algorithm that is not known, or of a node of which nothing is believed.
    """
    typed_in = fingerprints or ()
    believed_cards = [_card(path, typed_in) for path in cards or ()]
    spare = [typed for typed in typed_in if not any(card.has_fingerprint(typed) for card in believed_cards)]
    if spare:
        raise Refused([Problem("FINGERPRINT_WRONG", "", spare[0][:100])])
    by_node: dict[str, bytes] = {}
    for named in roots or ():
        node, separator, file = named.partition("=")
        pem = Path(file if separator else node).read_bytes()
        load_chain(pem)
        by_node[node if separator else ""] = pem
    data = policy.read_bytes() if policy is not None else None
    if data is not None:
        tlog_policy.parse(data)
    believed = Believed(
        policy=data,
        cards=tuple(card.to_text() for card in believed_cards),
        roots=tuple(by_node.items()),
        lists=tuple(_list(path) for path in lists or ()),
    )
    if not require:
        return believed
    return replace(believed, require=_required(require, keys_of(believed).nodes | by_node.keys()))


def _required(asked: Sequence[str], nodes: Collection[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, tuple[str, ...]] = {}
    for each in asked:
        node, separator, listed = each.rpartition("=")
        if separator and node not in nodes:
            raise typer.BadParameter(t("message.unknown_choice", name=node[:100], known=", ".join(sorted(nodes))))
        algorithms = tuple(name.strip() for name in listed.split(",") if name.strip())
        if unknown := [name for name in algorithms if name not in ALGORITHMS]:
            raise typer.BadParameter(t("message.unknown_choice", name=unknown[0], known=", ".join(ALGORITHMS)))
        if not algorithms:
            raise typer.BadParameter(t("message.unknown_choice", name=each[:100], known=", ".join(ALGORITHMS)))
        found[node] = algorithms
    return tuple(found.items())


def _list(path: Path) -> bytes:
    data = path.read_bytes()
    check_form(data)
    return data


def _card(path: Path, fingerprints: Sequence[str]) -> NodeCard:
    card = read_card(path)
    if not fingerprints:
        raise Refused([Problem("FINGERPRINT_MISSING", str(path))])
    if not any(card.has_fingerprint(typed) for typed in fingerprints):
        raise Refused([Problem("FINGERPRINT_WRONG", str(path))])
    return card

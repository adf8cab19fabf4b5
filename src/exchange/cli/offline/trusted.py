"""What the caller of ``verify`` trusts: cards, the sets of a trust folder, single keys, roots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exchange.cli.output import Undecidable
from exchange.crypto.dsse import ES256
from exchange.crypto.receipts import Key
from exchange.crypto.trusted.node_card import COSIGNATURES, CardRefused, KeyRole, NodeCard
from exchange.crypto.trusted.trust import SIGNING_CRL, TrustSet
from exchange.crypto.x509.certificates import load_chain, to_der
from exchange.domain.problems import Problem, Refused
from exchange.settings.trust_folder import peer_names, read_own, read_peer
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import ED25519, VerifierKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """Trusted keys and roots.

    Attributes:
        log_keys: Keys of logs; a checkpoint's origin chooses among them. Those of cards and sets with their times.
        cosigners: Mirror and witness keys, likewise.
        roots: Signing roots in PEM by node name; the name is empty for roots that hold for every node.
        chain: DER of a signing certificate that did not come with the evidence, leaf first.
        crls: Revocation lists in PEM of signing authorities, by node name; none where none was given.
        require: Algorithms of which a statement must carry a region's signature.
        require_asked: Whether the caller named them: then it is a finding, or undecided, where one is missing.
    """

    log_keys: tuple[Key, ...]
    cosigners: tuple[Key, ...]
    roots: Mapping[str, bytes]
    chain: tuple[bytes, ...] = ()
    crls: Mapping[str, bytes] = field(default_factory=dict)
    require: tuple[str, ...] = (ES256,)
    require_asked: bool = False

    def roots_of(self, node: str) -> bytes | None:
        """Signing roots of a node; None where there are none."""
        return self.roots.get(node) or self.roots.get("")


def gather(
    *,
    cards: Sequence[Path],
    trust: Path | None,
    vkeys: Sequence[str],
    roots: Path | None,
    chain: Path | None,
    require: Sequence[str] = (),
) -> Trusted:
    """Read what the caller names.

    Args:
        cards: Files with node cards.
        trust: A trust folder, or the set of one peer.
        vkeys: Verifier keys as text, or names of files with one on each line.
        roots: PEM of signing roots that hold for every node.
        chain: PEM of a signing certificate with its intermediates.
        require: Algorithms that a statement must be signed by; empty: ES256, as nodes ask where nothing is said.

    Raises:
        CardRefused: A card or set has mistakes.
        LogFormatError: A verifier key is none, or a file of them is no text.
        CertificateUnreadable: Roots or chain.
    """
    found = [read_card(path) for path in cards]
    sets = _sets(trust) if trust is not None else []
    found += [trusted.card for trusted in sets]
    keys = [VerifierKey.parse(line) for text in vkeys for line in _lines(text)]
    by_node = {card.node: card.signing_roots for card in found}
    if trust is not None and (trust / "own").is_dir():
        # Our own records: whoever holds the trust folder trusts its own roots.
        by_node.setdefault("", read_own(trust).signing_roots)
    lists = {trusted.card.node: trusted.files[SIGNING_CRL] for trusted in sets if SIGNING_CRL in trusted.files}
    if roots is not None:
        by_node[""] = roots.read_bytes()
        load_chain(by_node[""])
    return Trusted(
        log_keys=(
            *(k for card in found for k in card.keys if k.role is KeyRole.LOG),
            *(k for k in keys if k.alg == ED25519),
        ),
        cosigners=(
            *(k for card in found for k in card.keys if k.role is not KeyRole.LOG),
            *(k for k in keys if k.alg in COSIGNATURES),
        ),
        roots=by_node,
        chain=tuple(to_der(certificate) for certificate in load_chain(chain.read_bytes())) if chain else (),
        crls=lists,
        require=tuple(require) or (ES256,),
        require_asked=bool(require),
    )


def read_card(path: Path) -> NodeCard:
    """A node card's file.

    Raises:
        CardRefused: It has mistakes, or is no text at all.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise CardRefused([Problem("CARD_INVALID", str(path), "not UTF-8")]) from None
    return NodeCard.parse(text)


def _sets(folder: Path) -> list[TrustSet]:
    if (folder / "MANIFEST").is_file():
        return [TrustSet.load(read_peer(folder.parent, folder.name))]
    names = peer_names(folder)
    if not names and not (folder / "own").is_dir():
        raise Undecidable("TRUST_MISSING", str(folder))
    return [TrustSet.load(read_peer(folder, name)) for name in names]


def _lines(text: str) -> list[str]:
    # A verifier key holds two plus signs, which no sensible file name does.
    if text.count("+") >= 2 and not Path(text).is_file():
        return [text]
    try:
        lines = Path(text).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise LogFormatError(f"{text}: not UTF-8") from None
    except OSError as error:
        raise Refused([Problem("FILE_MISSING", text, error.strerror or "")]) from error
    return [line.strip() for line in lines if line.strip()]

"""An evidence bundle: a folder by which a third person checks, without us, that a log or a disk contradicts a head.

Nothing in it is ours to believe: signed notes, keys, hashes. Whose the keys are, the cards of both nodes say.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.reconcile.lanes import Contradiction, Head, LanePair
from exchange.flows.audit.reconcile.reading import ReadLog
from exchange.flows.audit.sources.source import Source, SourceLog
from exchange.tlog import cosignature, note, proof, tree
from exchange.tlog.note import COSIGNATURE_V1, ED25519, VerifierKey, encode_base64

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 public key in DER (RFC 8410)."""

Bundle = dict[str, bytes]
"""Files by name."""


def bundle(
    finding: Finding, pair: LanePair, found: Contradiction, keys: Sequence[VerifierKey], entry: bytes | None
) -> Bundle:
    """The files of one bundle.

    Args:
        finding: What it proves.
        pair: The lane.
        found: The contradiction.
        keys: Keys that signed the notes.
        entry: The first entry that was cut off or exchanged, as the head has it; None where neither side shows it.
    """
    files: Bundle = {"note": found.head.note}
    files |= _by_hand("note", found.head, keys)
    if found.against is not None:
        files["note-2"] = found.against.note
        files |= _by_hand("note-2", found.against, keys)
    files["vkeys"] = "".join(f"{key}\n" for key in keys).encode()
    for at, key in enumerate(keys):
        if key.alg in (ED25519, COSIGNATURE_V1):
            files[f"key-{at}.pem"] = _pem(key)
    if found.tree is not None:
        files |= _proofs(found, found.tree, entry)
    disk = pair.own if found.side == pair.owner else pair.mirror
    facts = [
        f"code {finding.code}",
        f"log {pair.origin}",
        f"side {found.side}",
        f"index {found.index}",
        f"shown_by {found.head.shown_by}",
        f"disk_size {disk.size}",
    ]
    roots = disk.roots([found.head.size])
    if roots:
        facts.append(f"disk_root_at_{found.head.size} {encode_base64(roots[found.head.size])}")
    files["facts"] = "".join(f"{line}\n" for line in facts).encode()
    files["说明.txt"] = _explanation(finding, pair, found, files).encode()
    return files


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle into a new folder.

    Raises:
        FileExistsError: It is there already.
    """
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def entry_at(source: Source, log: SourceLog, index: int) -> bytes | None:
    """One entry of a source."""
    return next((each.entry for each in source.entries(log, index)), None)


def _proofs(found: Contradiction, satisfying: ReadLog, entry: bytes | None) -> Bundle:
    """What leads from the head to the entry, or from the second head of a fork back to the first one's size."""
    files: Bundle = {}
    if found.against is not None:
        path = tree.consistency_proof(found.head.size, found.against.size, satisfying.nodes())
        root = satisfying.roots([found.head.size])[found.head.size]
        files["consistency"] = "".join(f"{encode_base64(each)}\n" for each in path).encode()
        files["root-by-note-2"] = f"{encode_base64(root)}\n".encode()
    elif entry is not None and found.index < found.head.size:
        path = tree.inclusion_proof(found.index, found.head.size, satisfying.nodes())
        extra = entry if len(entry) <= proof.MAX_EXTRA_BYTES else None
        files["tlog-proof"] = proof.Receipt(found.index, tuple(path), found.head.note, extra).to_bytes()
    return files


def _by_hand(name: str, head: Head, keys: Sequence[VerifierKey]) -> Bundle:
    """What openssl is given: each signature with the bytes that it is over."""
    signed = note.parse(head.note)
    files: Bundle = {}
    for at, key in enumerate(keys):
        for line in signed.by(key):
            if key.alg == ED25519:
                files[f"{name}.by-key-{at}.message"] = signed.text_bytes
                files[f"{name}.by-key-{at}.sig"] = line.signature
            elif key.alg == COSIGNATURE_V1:
                timed = cosignature.parse(line.signature)
                files[f"{name}.by-key-{at}.message"] = cosignature.message(signed.text_bytes, timed.time)
                files[f"{name}.by-key-{at}.sig"] = timed.signature
    return files


def _pem(key: VerifierKey) -> bytes:
    return f"-----BEGIN PUBLIC KEY-----\n{encode_base64(_SPKI + key.public)}\n-----END PUBLIC KEY-----\n".encode()


def _explanation(finding: Finding, pair: LanePair, found: Contradiction, files: Bundle) -> str:
    table = tomllib.loads(resources.files(__package__).joinpath("explanations.toml").read_text("utf-8"))
    disk = pair.own if found.side == pair.owner else pair.mirror
    told = {"side": found.side, "disk": disk.size, "size": found.head.size, "index": found.index}
    checks = [
        f"openssl pkeyutl -verify -pubin -inkey key-{name.split('key-')[1].split('.')[0]}.pem -rawin"
        f" -in {name.removesuffix('.sig')}.message -sigfile {name}"
        for name in sorted(files)
        if name.endswith(".sig")
    ]
    text = [f"{finding.code}  {pair.origin}"]
    for language in ("zh", "en"):
        text += ["", table[finding.code][language].format(**told), table["how"][language]]
    return "\n".join([*text, *checks, ""])

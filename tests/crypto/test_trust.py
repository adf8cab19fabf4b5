"""Trust sets: taken whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.envelope_verifier import SigningChain, VerdictStatus
from exchange.crypto.trusted import trust
from exchange.crypto.trusted.trust import TrustRefused, TrustSet, to_trust_files, write_manifest
from exchange.crypto.x509 import pki
from tests.crypto.region import AGENCY, DOMAIN, NOW, PROFILE, only, region
from tests.crypto.test_node_card import CARD, card

CQ, SC = region("cq"), region("sc")
FILES = to_trust_files(CARD)
PACKED = TrustSet.load(FILES).to_bytes()


def places(files: dict[str, bytes]) -> list[str]:
    """Where a set is wrong."""
    with pytest.raises(TrustRefused) as refused:
        TrustSet.load(files)
    assert {problem.reason for problem in refused.value.problems} == {"TRUST_REFUSED"}
    return [problem.place for problem in refused.value.problems]


def with_peer(old: str, new: str) -> dict[str, bytes]:
    """The set with another text in peer.toml and a manifest that fits."""
    text = FILES[trust.PEER].decode()
    assert old in text
    files = FILES | {trust.PEER: text.replace(old, new).encode()}
    return files | {trust.MANIFEST: write_manifest(files)}


def test_a_card_becomes_a_set_and_comes_back() -> None:
    """What was written for a card is loaded as that card, quotes and Chinese included."""
    quoted = card(duty_desk='值班 "一" \\ 二 # 三')
    for one in (CARD, quoted):
        loaded = TrustSet.load(to_trust_files(one))
        assert loaded.card == one
        assert loaded.digest == sha256(to_trust_files(one)[trust.MANIFEST]).hexdigest()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum-missing")
def test_the_manifest_is_checked_by_sha256sum(tmp_path: Path) -> None:
    """An administrator checks and makes it with the common tool."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    command = "sha256sum -c --strict MANIFEST >/dev/null && LC_ALL=C sha256sum *.pem *.toml | sort -k2"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=30)  # noqa: S607
    assert sorted(done.stdout.splitlines()) == sorted(FILES[trust.MANIFEST].splitlines())


def test_the_set_verifies_envelopes_of_its_peer() -> None:
    """Signing roots and announced chains make the peer's verifier."""
    signing = TrustSet.load(FILES).signing_trust([SigningChain(certificates=CQ.signer.chain)])
    assert signing.verify(CQ.envelope(), NOW).status is VerdictStatus.VALID
    assert signing.verify(SC.envelope(), NOW).status is VerdictStatus.KEY_UNKNOWN


def test_revocation_lists_of_both_uses_are_read() -> None:
    """A revoked client certificate is found by itself, a revoked signing certificate through verdicts."""
    client = only(pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW).chain)
    at = NOW + timedelta(days=1)
    lists = [
        pki.issue_crl(PROFILE, CQ.intermediate, [(c.serial_number, at)], number=1, now=at) + CQ.intermediate.chain_pem
        for c in (client, CQ.signing)
    ]
    loaded = TrustSet.load(to_trust_files(CARD, tls_crl=lists[0], signing_crl=lists[1]))
    assert loaded.tls_revocations.revoked_at([client]) == at
    assert loaded.tls_revocations.revoked_at([CQ.signing]) is None
    signing = loaded.signing_trust([SigningChain(certificates=CQ.signer.chain)])
    assert signing.verify(CQ.envelope(), NOW).revoked_at == at


def test_the_manifest_names_exactly_what_is_there() -> None:
    """Missing, changed, added and unknown files are each named."""
    assert places({k: v for k, v in FILES.items() if k != trust.MANIFEST}) == ["MANIFEST"]
    assert places({k: v for k, v in FILES.items() if k != trust.TLS_ROOTS}) == ["tls-roots.pem"]
    assert places(FILES | {trust.TLS_ROOTS: SC.root.root_pem}) == ["tls-roots.pem"]
    extra = FILES | {"notes.txt": b""}
    assert places(extra | {trust.MANIFEST: write_manifest(extra)}) == ["notes.txt"]
    assert places(FILES | {trust.MANIFEST: FILES[trust.MANIFEST] + b"rubbish\n"}) == ["MANIFEST: line 4"]
    assert places(FILES | {trust.MANIFEST: b"\xff"}) == ["MANIFEST"]
    fewer = {k: v for k, v in FILES.items() if k not in (trust.SIGNING_ROOTS, trust.MANIFEST)}
    assert places(fewer | {trust.MANIFEST: write_manifest(fewer)}) == ["signing-roots.pem"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('node = "cq"', 'node = "CQ"', "peer.toml: node"),
        ('node = "cq"', "node = 1", "peer.toml: node"),
        ('node = "cq"', "", "peer.toml: node"),
        ('areas = ["50"]', 'areas = "50"', "peer.toml: areas"),
        ('areas = ["50"]', 'areas = ["50"]\ncolour = 1', "peer.toml: colour"),
        ('areas = ["50"]', "areas = [", "peer.toml"),
        (', name = "演示市生态环境局"', "", "peer.toml: authority"),
        ('use = "mirror"', 'use = "friend"', "peer.toml: key 6.use"),
        ('use = "mirror"', 'use = ["mirror"]', "peer.toml: key 6.use"),
        ('use = "mirror"', 'use = "mirror"\nx = 1', "peer.toml: key 6"),
        ('use = "mirror"\nvkey = "cq', 'use = "mirror"\nvkey = "cc', "peer.toml: key 6.vkey"),
        ("from = 2026-03-01T08:00:00Z", "from = 2026-03-01T08:00:00", "peer.toml: key 1.from"),
        ("from = 2026-03-01T08:00:00Z", 'from = "2026"', "peer.toml: key 1.from"),
        ("from = 2026-03-01T08:00:00Z", "from = 0001-01-01T00:00:00+14:00", "peer.toml: key 1"),
        (
            "from = 2026-03-01T08:00:00Z",
            "from = 2026-03-01T08:00:00Z\nuntil = 2026-03-01",
            "peer.toml: key 1.until",
        ),
        (
            "from = 2026-03-01T08:00:00Z",
            "from = 2026-03-01T08:00:00Z\nuntil = 2026-02-01T00:00:00Z",
            "peer.toml: key 1",
        ),
    ],
)
def test_each_mistake_names_file_and_place(old: str, new: str, place: str) -> None:
    """A wrong value in peer.toml is refused with its key."""
    assert place in places(with_peer(old, new))


def test_roots_are_checked() -> None:
    """Files that are no certificates are refused."""
    for name, data in ((trust.TLS_ROOTS, b"x"), (trust.SIGNING_ROOTS, CQ.signer.chain[0])):
        files = FILES | {name: data}
        assert places(files | {trust.MANIFEST: write_manifest(files)}) == [name]


def test_a_list_needs_no_manifest_and_a_bad_one_spoils_nothing() -> None:
    """A list proves itself: a newer one is laid over the old; one that no root vouches for is left out and named."""
    crl = pki.issue_crl(PROFILE, CQ.root, [(7, NOW)], number=1, now=NOW)
    loaded = TrustSet.load(FILES | {trust.SIGNING_CRL: crl})
    assert (len(loaded.signing_revocations.lists), loaded.list_problems) == (1, ())
    foreign = pki.issue_crl(PROFILE, SC.root, [], number=1, now=NOW)
    for bad in (foreign, b"x"):
        loaded = TrustSet.load(FILES | {trust.SIGNING_CRL: bad})
        assert loaded.signing_revocations.lists == ()
        assert [problem.place for problem in loaded.list_problems] in ([], [trust.SIGNING_CRL])


def test_a_set_is_of_the_expected_peer() -> None:
    """A set that lies in another peer's folder, is of another federation or was made for another node is refused."""
    expected = {"node": "cq", "domain": DOMAIN, "addressee": "sc"}
    assert TrustSet.load(FILES, **expected).card == CARD
    for key, place in (("node", "node"), ("domain", "domain"), ("addressee", "for")):
        with pytest.raises(TrustRefused) as refused:
            TrustSet.load(FILES, **expected | {key: "gz"})
        assert [problem.place for problem in refused.value.problems] == [f"peer.toml: {place}"]


def test_a_set_travels_in_one_piece() -> None:
    """What the journal keeps is the set, byte for byte."""
    loaded = TrustSet.load(FILES)
    assert trust.unpack(loaded.to_bytes()) == FILES
    assert TrustSet.load(trust.unpack(loaded.to_bytes())) == loaded


@given(st.integers(0, 400), st.binary(max_size=3))
def test_no_bytes_break_the_unpacking(at: int, put: bytes) -> None:
    """A piece that was changed is another set of files, or refused."""
    with contextlib.suppress(TrustRefused):
        trust.unpack(PACKED[:at] + put + PACKED[at + 1 :])


def test_a_piece_that_was_cut_is_refused() -> None:
    """Missing bytes, a file twice, and names that lead elsewhere."""
    for cut in (PACKED[:-1], b"x", b"x 5\nabc", b"x 1\nax 1\nb", b"../x 1\na"):
        with pytest.raises(TrustRefused):
            trust.unpack(cut)

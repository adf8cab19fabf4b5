"""Certificate paths: what holds, and each way in which one does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exchange.crypto.keys import generate_p256
from exchange.crypto.x509 import chains, pki
from exchange.crypto.x509.certificates import Certificate, load_chain
from exchange.crypto.x509.chains import ChainProblem, Purpose, find_paths, verify_chain
from exchange.crypto.x509.pki_profile import KeyKind
from tests.crypto.region import AGENCY, NODE, NOW, PROFILE, build, constraints, only, region, usage

CQ = region("cq")
ROOT_KEY, MID_KEY, LEAF_KEY = generate_p256(), generate_p256(), generate_p256()
ROOT = build("root", ROOT_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True), usage(sign=False, certify=True))
MID = build("mid", MID_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True), usage(sign=False, certify=True))
LEAF = build("leaf", LEAF_KEY.public_key(), "mid", MID_KEY, usage())
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def judge(leaf: Certificate, *between: Certificate, root: Certificate = ROOT) -> ChainProblem | None:
    """The problem of a chain one day after its begin."""
    return verify_chain(leaf, between, [root], NOW + timedelta(days=1)).problem


def uses(*oids: x509.ObjectIdentifier) -> tuple[x509.ExtendedKeyUsage, bool]:
    """Extended key usages."""
    return x509.ExtendedKeyUsage(oids), False


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_chain_through_an_intermediate_holds(kind: KeyKind) -> None:
    """EC and RSA authorities alike: leaf, intermediate, root, in that order."""
    made = region("cq", kind) if kind is KeyKind.EC_P256 else region("rsa", kind)
    verdict = verify_chain(made.signing, [made.intermediate.certificate], [made.root.certificate], NOW)
    assert verdict.ok
    assert verdict.path is not None
    assert verdict.path.certificates == (made.signing, *made.intermediate.chain)


def test_candidates_may_come_in_any_order_and_number() -> None:
    """Unrelated and repeated certificates between do not matter."""
    other = region("sc")
    between = [other.root.certificate, ROOT, MID, MID, other.signing]
    assert verify_chain(LEAF, between, [other.root.certificate, ROOT], NOW).ok


def test_a_missing_intermediate_or_another_root_leads_nowhere() -> None:
    """Without a path there is no trust, even when an untrusted root comes along."""
    assert judge(LEAF) is ChainProblem.UNKNOWN_ISSUER
    assert judge(LEAF, MID, ROOT, root=region("sc").root.certificate) is ChainProblem.UNKNOWN_ISSUER


def test_a_root_of_the_same_name_with_another_key_is_noticed() -> None:
    """The name alone does not make an issuer."""
    key = generate_p256()
    namesake = build("root", key.public_key(), "root", key, constraints(ca=True), usage(sign=False, certify=True))
    assert judge(LEAF, MID, root=namesake) is ChainProblem.BAD_SIGNATURE


def test_of_two_issuers_with_one_name_the_right_one_is_found() -> None:
    """After an authority changed its key, certificates of both keys lead to a root."""
    key = generate_p256()
    namesake = build("mid", key.public_key(), "root", ROOT_KEY, constraints(ca=True), usage(sign=False, certify=True))
    assert judge(LEAF, namesake, MID) is None


@pytest.mark.parametrize(
    ("days", "problem"),
    [(-1, ChainProblem.NOT_YET_VALID), (0, None), (364, None), (366, ChainProblem.EXPIRED)],
)
def test_the_leaf_is_valid_between_its_dates(days: int, problem: ChainProblem | None) -> None:
    """Before the first and after the last instant it is not."""
    assert verify_chain(LEAF, [MID], [ROOT], NOW + timedelta(days=days)).problem is problem


def test_every_certificate_must_be_valid_at_that_time() -> None:
    """A leaf that outlives its intermediate is expired with it, and the verdict names which."""
    short = build(
        "mid", MID_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True), usage(sign=False, certify=True), days=10
    )
    verdict = verify_chain(LEAF, [short], [ROOT], NOW + timedelta(days=11))
    assert (verdict.problem, verdict.detail) == (ChainProblem.EXPIRED, "CN=mid")
    old = build("root", ROOT_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True), days=10)
    assert verify_chain(LEAF, [MID], [old], NOW + timedelta(days=11)).detail == "CN=root"


def test_of_two_paths_the_one_valid_then_counts() -> None:
    """A renewed intermediate serves the time after the old one, which serves its own."""
    ca = (constraints(ca=True), usage(sign=False, certify=True))
    old = build("mid", MID_KEY.public_key(), "root", ROOT_KEY, *ca, days=10)
    new = build("mid", MID_KEY.public_key(), "root", ROOT_KEY, *ca, begin=NOW + timedelta(days=20), days=100)
    search = find_paths(LEAF, [old, new], [ROOT])
    assert len(search.paths) == 2
    assert [search.at(NOW + timedelta(days=d)).ok for d in (5, 15, 25)] == [True, False, True]


def test_naive_instants_are_refused() -> None:
    """A verdict is asked for an aware instant."""
    with pytest.raises(ValueError, match="aware"):
        verify_chain(LEAF, [MID], [ROOT], NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("extensions", "problem"),
    [
        ((), ChainProblem.NOT_A_CA),
        ((constraints(ca=False), usage(sign=False, certify=True)), ChainProblem.NOT_A_CA),
        ((usage(sign=False, certify=True),), ChainProblem.NOT_A_CA),
        ((constraints(ca=True), usage(sign=True)), ChainProblem.KEY_USAGE),
        ((constraints(ca=True),), None),
        ((constraints(ca=True), (UNKNOWN, True)), ChainProblem.EXTENSION),
        ((constraints(ca=True), (UNKNOWN, False)), None),
        (
            (constraints(ca=True), (x509.NameConstraints([x509.DNSName("a.example")], None), False)),
            ChainProblem.EXTENSION,
        ),
    ],
)
def test_an_issuer_must_be_an_authority(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...], problem: ChainProblem | None
) -> None:
    """Basic constraints, key usage, and no extension that is not understood: for intermediates and roots."""
    assert judge(LEAF, build("mid", MID_KEY.public_key(), "root", ROOT_KEY, *extensions)) is problem
    assert judge(LEAF, MID, root=build("root", ROOT_KEY.public_key(), "root", ROOT_KEY, *extensions)) is problem


def test_a_leaf_issues_nothing() -> None:
    """A certificate signed by another leaf's key leads nowhere."""
    key = generate_p256()
    below = build("below", key.public_key(), "leaf", LEAF_KEY, usage())
    assert judge(below, LEAF, MID) is ChainProblem.NOT_A_CA


def test_path_lengths_are_kept() -> None:
    """A root with length 0 allows leaves only, with length 1 one authority below."""
    for length, problem in ((0, ChainProblem.PATH_LENGTH), (1, None)):
        root = build("root", ROOT_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True, length=length))
        assert judge(LEAF, MID, root=root) is problem
    direct = build("leaf", LEAF_KEY.public_key(), "root", ROOT_KEY, usage())
    zero = build("root", ROOT_KEY.public_key(), "root", ROOT_KEY, constraints(ca=True, length=0))
    assert judge(direct, root=zero) is None


def test_an_intermediate_of_the_own_authority_can_not_make_another() -> None:
    """What `pki` issues carries the lengths that keep it so."""
    rogue = pki.create_intermediate(PROFILE, CQ.intermediate, "rogue", now=NOW)
    issued = pki.issue_signing(PROFILE, rogue, identity=NODE, organisation="局", now=NOW)
    leaf, *between = load_chain(issued.chain)
    assert verify_chain(leaf, between, [CQ.root.certificate], NOW).problem is ChainProblem.PATH_LENGTH


@pytest.mark.parametrize(
    ("extensions", "signing", "client"),
    [
        ((usage(),), True, True),
        ((), False, True),
        ((usage(sign=False),), False, False),
        ((usage(), uses(ExtendedKeyUsageOID.CLIENT_AUTH)), False, True),
        ((usage(), uses(ExtendedKeyUsageOID.SERVER_AUTH)), False, False),
        ((usage(), uses(ExtendedKeyUsageOID.EMAIL_PROTECTION)), True, False),
        ((usage(), constraints(ca=True)), False, False),
        ((usage(), constraints(ca=False)), True, True),
        ((usage(), (UNKNOWN, True)), False, False),
    ],
)
def test_a_leaf_serves_its_purpose_only(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...], signing: bool, client: bool
) -> None:
    """What was made for TLS never signs, what was made for mail never calls, an authority does neither."""
    leaf = build("leaf", LEAF_KEY.public_key(), "mid", MID_KEY, *extensions)
    assert verify_chain(leaf, [MID], [ROOT], NOW, Purpose.SIGNING).ok == signing
    assert verify_chain(leaf, [MID], [ROOT], NOW, Purpose.CLIENT).ok == client


def test_issued_leaves_serve_what_they_were_issued_for() -> None:
    """Server, client and signing certificates hold for their purpose; signing ones for no TLS, and the reverse."""
    server = pki.issue_server(PROFILE, CQ.intermediate, identity=NODE, hosts=["localhost", "::1"], now=NOW)
    client = pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW)
    table = {
        only(server.chain): {Purpose.SERVER, Purpose.CLIENT},
        only(client.chain): {Purpose.CLIENT},
    }
    for leaf, expected in table.items():
        held = {
            p for p in Purpose if verify_chain(leaf, [CQ.intermediate.certificate], [CQ.root.certificate], NOW, p).ok
        }
        assert held == expected


def test_a_weak_digest_is_refused() -> None:
    """A certificate signed over anything but SHA-256, SHA-384 or SHA-512 proves nothing."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    weak = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(name)
        .public_key(LEAF_KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(*usage())
        .sign(ROOT_KEY, hashes.SHA224())
    )
    assert judge(weak) is ChainProblem.WEAK


def test_certificates_that_name_each_other_in_a_circle_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are crossed, the search stops after a bounded number of signatures."""
    real, checked = chains._signature_problem, []

    def counting(certificate: Certificate, issuer: Certificate) -> ChainProblem | None:
        checked.append(issuer)
        return real(certificate, issuer)

    monkeypatch.setattr(chains, "_signature_problem", counting)
    keys = [generate_p256() for _ in range(6)]
    crossed = [
        build(f"ca{a}", keys[a].public_key(), f"ca{b}", keys[b], constraints(ca=True))
        for a in range(6)
        for b in range(6)
        if a != b
    ]
    leaf = build("leaf", LEAF_KEY.public_key(), "ca0", keys[0], usage())
    assert judge(leaf, *crossed) is ChainProblem.UNKNOWN_ISSUER
    assert len(checked) == chains.MAX_SIGNATURE_CHECKS


def test_a_leaf_is_not_its_own_root() -> None:
    """A certificate that stands among the roots is an authority there, and no leaf."""
    assert judge(ROOT) is ChainProblem.IS_A_CA
    pinned = build("leaf", LEAF_KEY.public_key(), "leaf", LEAF_KEY, usage())
    assert judge(pinned, root=pinned) is ChainProblem.UNKNOWN_ISSUER

"""Node cards."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.ed25519 import Cosigner, NoteSigner, derive_log_key
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.trusted.node_card import CardRefused, KeyRole, NodeCard, TrustedKey
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LANES, LogName, mirror_name, witness_name
from tests.crypto.region import DOMAIN, NOW, region

SEED = bytes(range(32))


def log_key(log: LogName, generation: int = 1, **changes: datetime) -> TrustedKey:
    """The key of a log with its time of use."""
    signer = NoteSigner(str(log), derive_log_key(SEED, str(log), generation))
    return TrustedKey(role=KeyRole.LOG, key=signer.key, **({"valid_from": NOW} | changes))


@cache
def keys() -> tuple[TrustedKey, ...]:
    """All keys that a card needs."""
    logs = [LogName.outbound("cq", DOMAIN, "sc", lane) for lane in LANES]
    logs += [LogName.journal("cq", DOMAIN), LogName.local("cq", DOMAIN)]
    mirror = Cosigner(mirror_name("cq", DOMAIN), generate_ed25519()).key
    witness = Cosigner(witness_name("cq", DOMAIN), generate_ed25519()).key
    return (
        *(log_key(log) for log in logs),
        TrustedKey(role=KeyRole.MIRROR, key=mirror, valid_from=NOW),
        TrustedKey(role=KeyRole.WITNESS, key=witness, valid_from=NOW),
    )


def card(**changes: object) -> NodeCard:
    """A card of cq for sc."""
    values: dict[str, object] = {
        "node": "cq",
        "domain": DOMAIN,
        "addressee": "sc",
        "authority_uscc": "11500000MB1614741U",
        "authority_name": "演示市生态环境局",
        "addresses": ("cq-node.example:9443", "[2001:db8::1]:9443"),
        "areas": ("50",),
        "duty_desk": "值班 000-0000000",
        "keys": keys(),
        "tls_roots": region("cq").root.root_pem,
        "signing_roots": region("cq").root.root_pem,
    } | changes
    return NodeCard(**values)  # type: ignore[arg-type]


CARD = card()
TEXT = CARD.to_text()


def test_a_card_is_a_text_that_a_person_can_read() -> None:
    """A word and its value a line, then the roots."""
    lines = TEXT.split("\n")
    assert lines[:8] == [
        "exchange-node-card/v1",
        "node cq",
        "domain exchange.example",
        "for sc",
        "authority 11500000MB1614741U 演示市生态环境局",
        "duty 值班 000-0000000",
        "area 50",
        "address cq-node.example:9443",
    ]
    assert lines[9] == f"key log 2026-03-01T08:00:00Z - {keys()[0].key}"
    assert NodeCard.parse(TEXT) == CARD


def test_the_fingerprint_is_that_of_the_file() -> None:
    """SHA-256 of the text in groups of four, and a typed one is compared whole."""
    expected = sha256(TEXT.encode()).hexdigest()
    assert CARD.fingerprint().split(" ") == [expected[at : at + 4] for at in range(0, 64, 4)]
    assert CARD.has_fingerprint(f" {CARD.fingerprint().upper().replace(' ', '-')}\n")
    assert not CARD.has_fingerprint(CARD.fingerprint()[:-5])
    assert not CARD.has_fingerprint("")
    assert not replace(CARD, duty_desk="值班 000-0000001").has_fingerprint(CARD.fingerprint())


def test_keys_are_found_by_role_origin_and_time() -> None:
    """[from, until) decides which key of a log counts when."""
    log = LogName.outbound("cq", DOMAIN, "sc", "registry")
    end = NOW + timedelta(days=10)
    rest = [k for k in keys() if k.key.name != str(log)]
    old, new = log_key(log, valid_until=end), log_key(log, 2, valid_from=end)
    rotated = NodeCard.parse(card(keys=(*rest, old, new)).to_text())
    assert rotated.log_keys(str(log)) == (old.key, new.key)
    assert rotated.log_keys(str(log), end - timedelta(seconds=1)) == (old.key,)
    assert rotated.log_keys(str(log), end) == (new.key,)
    assert rotated.log_keys(str(log), NOW - timedelta(seconds=1)) == ()
    assert [k.name for k in rotated.keys_of(KeyRole.MIRROR)] == ["cq.exchange.example/mirror"]


def test_later_epochs_stand_in_for_the_first() -> None:
    """A card made after a log went on in a new epoch names that one."""
    later = tuple(log_key(LogName.parse(k.key.name).next_epoch()) if k.role is KeyRole.LOG else k for k in keys())
    assert NodeCard.parse(card(keys=later).to_text()).keys == later


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"node": "CQ"}, "node"),
        ({"domain": ""}, "domain"),
        ({"addressee": "cq"}, "for"),
        ({"authority_uscc": "1150"}, "authority"),
        ({"authority_name": ""}, "authority"),
        ({"authority_name": "two\nlines"}, "authority"),
        ({"duty_desk": " "}, "duty"),
        ({"duty_desk": "x" * 201}, "duty"),
        ({"areas": ()}, "area"),
        ({"areas": ("5",)}, "area"),
        ({"areas": ("50", "50")}, "area"),
        ({"addresses": ("no port",)}, "address"),
        ({"addresses": ("host:0",)}, "address"),
        ({"addresses": ("host:65536",)}, "address"),
        ({"addresses": ("host:1\naddress x:1",)}, "address"),
        ({"addresses": ("host:1",) * 300}, "card"),
        ({"tls_roots": b""}, "tls-roots"),
        ({"signing_roots": b"x"}, "signing-roots"),
        ({"signing_roots": region("cq").root.root_pem + region("cq").root.key_pem}, "signing-roots"),
    ],
)
def test_each_wrong_field_is_named(changes: dict[str, object], place: str) -> None:
    """The refusal lists the place of the mistake."""
    with pytest.raises(CardRefused) as refused:
        card(**changes)
    assert place in [problem.place for problem in refused.value.problems]


def test_all_mistakes_are_listed_at_once() -> None:
    """Not only the first."""
    with pytest.raises(CardRefused) as refused:
        card(node="CQ", areas=(), duty_desk="")
    assert {"node", "area", "duty"} <= {problem.place for problem in refused.value.problems}


def wrong_keys() -> list[tuple[TrustedKey, ...]]:
    """Sets of keys that make no card."""
    good = keys()
    journal = good[3]
    foreign = log_key(LogName.journal("sc", DOMAIN))
    elsewhere = log_key(LogName.outbound("cq", DOMAIN, "gz", "registry"))
    as_mirror = TrustedKey(
        role=KeyRole.MIRROR, key=VerifierKey.of(good[5].key.name, 0x01, good[5].key.public), valid_from=NOW
    )
    again = TrustedKey(
        role=KeyRole.LOG, key=VerifierKey.of("cq.exchange.example/local/2", 0x01, journal.key.public), valid_from=NOW
    )
    other_name = TrustedKey(
        role=KeyRole.LOG, key=VerifierKey.of("cq.exchange.example/x", 0x01, bytes(32)), valid_from=NOW
    )
    return [
        (),
        *(good[:n] + good[n + 1 :] for n in range(7)),
        (*good, foreign),
        (*good, elsewhere),
        (*good, other_name),
        (*good, again),
        (*good[:5], as_mirror, good[6]),
        (*good[:3], replace(journal, valid_until=NOW), *good[4:]),
        (*good[:3], replace(journal, valid_from=NOW.replace(tzinfo=None)), *good[4:]),
        (*good[:3], replace(journal, valid_from=NOW.replace(microsecond=1)), *good[4:]),
        (*good[:5], replace(good[5], role=KeyRole.WITNESS), good[6]),
    ]


@pytest.mark.parametrize("number", range(len(wrong_keys())))
def test_each_key_is_there_once_and_for_its_use(number: int) -> None:
    """A missing, foreign, doubled or misused key, and impossible times, are refused."""
    with pytest.raises(CardRefused):
        card(keys=wrong_keys()[number])


@given(st.integers(0, len(TEXT) - 1), st.text(max_size=3))
def test_no_change_breaks_the_parser(at: int, put: str) -> None:
    """A card with characters replaced is another card in its one spelling, or refused."""
    text = TEXT[:at] + put + TEXT[at + 1 :]
    with contextlib.suppress(CardRefused):
        assert NodeCard.parse(text).to_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT + "\n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("/v1", "/v2"),
        TEXT.replace("node cq\n", ""),
        TEXT.replace("node cq\n", "node cq\nnode cq\n"),
        TEXT.replace("node cq\n", "node cq\nfriend x\n"),
        TEXT.replace("node cq\ndomain exchange.example", "domain exchange.example\nnode cq"),
        TEXT.replace("tls-roots\n", ""),
        TEXT.replace("signing-roots\n", ""),
        TEXT.replace("signing-roots\n", "signing-roots\nsome text\n"),
        TEXT.replace("08:00:00Z - ", "08:00:00+00:00 - "),
        TEXT.replace("08:00:00Z - ", "8:00:00Z - "),
        TEXT.replace("08:00:00Z - ", "08:00:00Z "),
        TEXT.replace("key log", "key logs"),
        TEXT.replace("area 50\n", "area 50\n" * 300),
        TEXT.replace("演示", "\ud800"),
        "x" * 600_000,
    ],
)
def test_what_is_no_card_is_refused(text: str) -> None:
    """Other spellings, missing and unknown lines are refused."""
    with pytest.raises(CardRefused):
        NodeCard.parse(text)


def test_instants_are_written_in_utc() -> None:
    """A key that begins in another offset is written as the same instant."""
    begin = datetime.fromisoformat("2026-03-01T16:00:00+08:00")
    moved = tuple(replace(k, valid_from=begin) for k in keys())
    assert card(keys=moved).to_text() == TEXT
    assert begin.astimezone(UTC) == NOW

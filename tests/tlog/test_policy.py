"""C2SP tlog-policy: what is read, what is refused, when a quorum is there."""

from __future__ import annotations

from itertools import combinations

import pytest

from exchange.tlog import policy
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1, ED25519, VerifierKey


def key(name: str, seed: int, alg: int = COSIGNATURE_V1) -> VerifierKey:
    """A verifier key of made-up bytes."""
    return VerifierKey.of(name, alg, bytes([seed]) * 32)


LOG = key("log.example/1", 99, ED25519)
X = [key(f"x{at}.example", at) for at in (1, 2, 3)]
Y = [key(f"y{at}.example", 10 + at) for at in (1, 2, 3)]
EXAMPLE = "\n".join(
    [
        f"log {LOG} https://log.example/",
        "",
        *(f"witness X{at} {each}" for at, each in enumerate(X, 1)),
        "  # two of three  ",
        "group X-witnesses 2 X1 X2 X3",
        *(f"\twitness  Y{at}\t{each}  " for at, each in enumerate(Y, 1)),
        "group Y-witnesses any Y1 Y2 Y3",
        "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y",
        "",
    ]
)


def test_the_quorum_of_the_specification_needs_two_of_one_group_and_one_of_the_other() -> None:
    """Every choice of the six cosigners makes a quorum when it has two X and one Y."""
    read = policy.parse(EXAMPLE.encode())
    assert read.log_keys("log.example/1") == (LOG,)
    for count in range(7):
        for chosen in combinations([*X, *Y], count):
            enough = len(set(chosen) & set(X)) >= 2 and bool(set(chosen) & set(Y))
            assert read.satisfied_by(set(chosen)) is enough


def test_no_cosigner_is_needed_where_the_policy_says_none() -> None:
    """``quorum none`` is satisfied by nothing, and needs neither logs nor witnesses."""
    assert policy.parse(b"quorum none\n").satisfied_by(())


def test_a_name_is_octets() -> None:
    """The Kelvin sign is not K, and a name that is no UTF-8 is one as well."""
    text = f"witness K {X[0]}\nwitness \N{KELVIN SIGN} {X[1]}\nquorum \N{KELVIN SIGN}\n".encode()
    assert not policy.parse(text).satisfied_by({X[0]})
    assert policy.parse(text).satisfied_by({X[1]})
    assert policy.parse(b"witness \xff %b\nquorum \xff\n" % str(X[0]).encode()).satisfied_by({X[0]})


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (f"log {LOG}\n", "exactly one quorum"),
        ("quorum none\nquorum none\n", "line 2: a policy has exactly one"),
        ("quorum none", "ends in a newline"),
        ("quorum none\r\n", "control characters"),
        ("quorum X\n", "line 1: nothing of that name"),
        (f"quorum a\nwitness a {X[0]}\n", "line 1: nothing of that name"),
        (f"witness a {X[0]}\nwitness a {X[1]}\nquorum a\n", "line 2: the name is taken"),
        (f"witness none {X[0]}\nquorum none\n", "the name is taken"),
        (f"witness a {X[0]}\nwitness b {key('other', 1)}\nquorum a\n", "key of another witness"),
        (f"log {LOG}\nlog {key('other', 99, ED25519)}\nquorum none\n", "key of another log"),
        (f"log {X[0]}\nquorum none\n", "is none of a log"),
        (f"witness a {LOG}\nquorum none\n", "is none of a witness"),
        (f"witness a {X[0]}\ngroup g 2 a\nquorum g\n", "a number from 1"),
        (f"witness a {X[0]}\ngroup g 01 a\nquorum g\n", "a number from 1"),
        (f"witness a {X[0]}\ngroup g 0 a\nquorum g\n", "a number from 1"),
        (f"witness a {X[0]}\ngroup g all a a\nquorum g\n", "each member once"),
        (f"witness a {X[0]}\ngroup g all none\nquorum g\n", "nothing of that name"),
        (f"witness a {X[0]}\ngroup g all g\nquorum g\n", "nothing of that name"),
        (f"witness a {X[0]}\ngroup g all a\ngroup h all a g\nquorum h\n", "member of another group"),
        ("quorum none\nlogs none\n", "line 2: a line begins with"),
        ("quorum none none\n", "a quorum has a name"),
        (f"log {LOG} a b\nquorum none\n", "a log has a verifier key"),
        (f"witness {X[0]}\nquorum none\n", "a witness has a name"),
        ("group g all\nquorum g\n", "a group has a name"),
    ],
)
def test_what_is_no_policy_is_refused(lines: str, complaint: str) -> None:
    """Each with its line and what is wrong."""
    with pytest.raises(LogFormatError, match=complaint):
        policy.parse(lines.encode())

"""The sharing catalogue: which kinds are sent, how widely, and for which purposes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.catalogues.sharing import SHARED_KINDS, SharingCatalogue
from exchange.domain.catalogues.tables import TableError, Tables, load
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import ShareClass
from tests.domain.records import SOUND

FILE = "sharing_catalogue.toml"
ROW = """
[[entry]]
kind = "CreditResult"
catalogue_no = "N-1"
title = "t"
summary = "s"
provider = "p"
share_class = "UNCONDITIONAL"
frequency = "YEARLY"
uses = ["许可"]
"""


def catalogue(text: str) -> SharingCatalogue:
    """A region's own catalogue, in place of the shipped one."""
    head = 'edition = "2"\nsource = "s"\nstatus = "s"\nexcluded_uses = ["转售"]\n'
    return load(read_all(), {FILE: (head + text).encode()}).sharing


def test_every_kind_that_agencies_share_has_a_row(tables: Tables) -> None:
    """As shipped: whoever adds a kind has to say who provides it and for what."""
    assert set(tables.sharing.entries) == set(SHARED_KINDS)


@pytest.mark.parametrize("name", SOUND)
def test_sound_records_may_be_sent(name: str, tables: Tables) -> None:
    """By the shipped catalogue, and answers and erasures by none."""
    assert tables.sharing.problems(SOUND[name]()) == ()


def test_a_kind_without_a_row_is_not_sent() -> None:
    """Whatever its purpose."""
    problems = catalogue(ROW).problems(SOUND["penalty"]())
    assert [(each.reason, each.detail) for each in problems] == [("CATALOGUE_ROW_MISSING", "PenaltyNotice")]


@pytest.mark.parametrize(
    ("purpose", "covered"),
    [
        ("排污许可审批", True),
        ("排污 许　可", True),
        ("两地信用评价结果互认", False),
        ("许可之后转售", False),
        ("", False),
    ],
)
def test_a_purpose_names_a_use_and_none_that_is_excluded(purpose: str, covered: bool) -> None:
    """Blanks do not matter; an excluded word outweighs every use."""
    own = catalogue(ROW)
    assert own.covers(Kind.KIND_CREDIT_RESULT, purpose) is covered
    record = SOUND["credit"]()
    record.header.purpose = purpose
    reasons = [each.reason for each in own.problems(record)]
    assert reasons == ([] if covered or not purpose else ["PURPOSE_OUT_OF_SCOPE"])


def test_a_record_is_not_shared_more_widely_than_its_row(tables: Tables) -> None:
    """Without conditions where the catalogue sets some; more narrowly is sound."""
    record = SOUND["credit"]()
    record.header.share_class = ShareClass.SHARE_CLASS_UNCONDITIONAL
    assert [each.reason for each in tables.sharing.problems(record)] == ["SHARE_CLASS_WIDER"]
    record.header.share_class = ShareClass.SHARE_CLASS_CONDITIONAL
    record.header.purpose = "许可"
    assert catalogue(ROW).problems(record) == ()


@given(st.text(max_size=30))
def test_any_purpose_is_judged_alike_by_sending_and_looking(tables: Tables, purpose: str) -> None:
    """What may not be sent for a purpose may not be looked at for it either."""
    kind = Kind.KIND_PENALTY_NOTICE
    looked = tables.sharing.use_problem((kind,), purpose, "purpose")
    assert (looked is None) is tables.sharing.covers(kind, purpose)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "CreditResult"', 'kind = "Recognition"'),
        ('kind = "CreditResult"', 'kind = "Nothing"'),
        ('uses = ["许可"]', "uses = []"),
        ('share_class = "UNCONDITIONAL"', 'share_class = "CONDITIONAL"'),
        ('frequency = "YEARLY"', 'frequency = "SOMETIMES"'),
        ('title = "t"', 'title = "t"\nmore = "m"'),
    ],
)
def test_a_row_that_says_too_little_is_refused(old: str, new: str) -> None:
    """No such kind, no use, conditional without a condition, an unknown frequency, an unknown cell."""
    with pytest.raises(TableError):
        catalogue(ROW.replace(old, new))


def test_two_rows_of_one_kind_or_number_are_refused() -> None:
    """Which of them counts would be a guess."""
    other = ROW.replace("CreditResult", "PenaltyNotice")
    assert len(catalogue(ROW + other.replace("N-1", "N-2")).entries) == 2
    for text in (ROW + other, ROW + ROW.replace("N-1", "N-2")):
        with pytest.raises(TableError):
            catalogue(text)

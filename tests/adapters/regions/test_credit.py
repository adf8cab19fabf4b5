"""Credit results: levels, scores, schemes, areas, authorities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exchange_chongqing
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.validate import validate
from exchange.tables import read_all
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState, NotEvaluatedReason
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record, ShareClass
from exchange_forms import FormsAdapter
from exchange_forms.made.making import made_uscc
from tests.adapters.regions.documents import CREDIT, FIRM, OFFICE, csv_of, native, read_one, reasons, refusal
from tests.domain import records


def test_a_row_becomes_a_record_with_its_sources(chongqing: FormsAdapter) -> None:
    """Values, defaults and where each came from."""
    row = read_one(chongqing, CREDIT, 所在区县="渝北", 评价依据="一；二")
    assert row.record is not None
    body, header = row.record.credit_result, row.record.header
    assert (body.subject.name, body.subject.uscc) == ("演示一有限公司", FIRM)
    assert body.subject.kind == SubjectKind.SUBJECT_KIND_ORGANISATION
    assert body.subject.area_code == header.area_code == "500112"
    assert (body.evaluation_year, body.window_start, body.window_end) == (2024, "2024-01-01", "2024-12-31")
    assert (body.scheme_id, body.scheme_edition, body.score_max) == ("CQ-渝环规〔2021〕7号", "2021", "108")
    assert (body.source_level_text, body.shared_level) == ("环保良好企业", CreditLevel.CREDIT_LEVEL_BLUE)
    assert body.state == CreditState.CREDIT_STATE_FINAL
    assert list(body.legal_basis) == ["一", "二"]
    assert header.authority == OFFICE
    assert (header.purpose, header.share_class) == ("演示", ShareClass.SHARE_CLASS_CONDITIONAL)
    lines = {line.field: (line.source, line.rule, line.lossy) for line in header.provenance.fields}
    assert lines["credit_result.score"] == ("D2", "decimal", False)
    assert lines["credit_result.subject.area_code"] == ("G2", "area-name", False)
    assert lines["credit_result.window_end"] == ("C2", "calendar-year", False)
    assert lines["credit_result.state"] == ("credit.toml", "default", False)
    assert header.provenance.dialect == "chongqing-credit-2021"
    assert header.provenance.encoding == "utf-8"
    assert row.place == "line 2"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("环保诚信企业", "GREEN"),
        ("环保诚信单位", "GREEN"),
        ("　环保信用不良单位 ", "RED"),
        ("环保信用警示", "YELLOW"),
        ("环保良好 企业", "BLUE"),
    ],
)
def test_names_of_levels_are_aliases(adapter: FormsAdapter, text: str, level: str) -> None:
    """企业 and 单位, 环保 and 环保信用, with the blanks that people leave."""
    row = read_one(adapter, CREDIT, 信用等级=text, 评价得分="")
    assert row.record is not None
    assert row.record.credit_result.shared_level == CreditLevel.Value(f"CREDIT_LEVEL_{level}")
    assert row.record.credit_result.source_level_text == text.strip()


@given(text=st.text(min_size=1, max_size=8).filter(lambda each: each.strip() and each.isprintable()))
def test_an_unknown_level_is_never_guessed(text: str) -> None:
    """Five colours, A to D, stars: any text that is not listed waits in quarantine."""
    adapter = _CHONGQING
    row = read_one(adapter, CREDIT, 信用等级=f"某{text}级")
    assert reasons(row) == ["LEVEL_UNMAPPED"]


_CHONGQING = exchange_chongqing.create(load(read_all()), {})


@given(score=st.integers(0, 108), level=st.sampled_from(["GREEN", "BLUE", "YELLOW", "RED"]))
def test_level_and_score_agree_or_the_row_waits(score: int, level: str) -> None:
    """The level is held against its own scheme's bands; a veto only lowers."""
    text = _CHONGQING.tables.credit.levels.texts[level]
    by_score = next(name for name, low in (("GREEN", 100), ("BLUE", 80), ("YELLOW", 60), ("RED", 0)) if score >= low)
    order = ["GREEN", "BLUE", "YELLOW", "RED"]
    plain = read_one(_CHONGQING, CREDIT, 信用等级=text, 评价得分=str(score))
    assert reasons(plain) == ([] if level == by_score else ["LEVEL_SCORE_MISMATCH"])
    vetoed = read_one(_CHONGQING, CREDIT, 信用等级=text, 评价得分=str(score), 一票否决情形="环境犯罪")
    lowered = order.index(level) >= order.index(by_score)
    assert reasons(vetoed) == ([] if lowered else ["LEVEL_SCORE_MISMATCH"])


def test_all_faults_of_a_row_are_listed(chongqing: FormsAdapter) -> None:
    """Whoever corrects the row sees everything at once, each with its cell."""
    row = read_one(chongqing, CREDIT, 信用等级="黑牌", 评价得分="八", 公布日期="昨天", 所在区县="火星")
    assert {(p.reason, p.place) for p in row.problems} == {
        ("LEVEL_UNMAPPED", "E2"),
        ("DECIMAL_FORMAT", "D2"),
        ("DATE_FORMAT", "F2"),
        ("AREA_UNMAPPED", "G2"),
    }


def test_a_listed_exception_lets_a_code_pass(tables: Tables) -> None:
    """A real code that fails its check waits until somebody lists it with its evidence."""
    code = FIRM[:17] + ("0" if FIRM[17] != "0" else "1")
    document = native(csv_of([{**CREDIT, "统一社会信用代码": code}]))
    assert reasons(exchange_chongqing.create(tables, {}).read(document).rows[0]) == ["USCC_CHECK"]
    overlay = f"""
        [[exception]]
        code = "{code}"
        reason = "USCC_CHECK"
        evidence = "演示"
        author = "演示"
        added_on = "2026-01-01"
    """
    accepted = load(read_all(), {"accepted_codes.toml": overlay.encode()})
    assert reasons(exchange_chongqing.create(accepted, {}).read(document).rows[0]) == []


def test_the_administrator_adds_names(tables: Tables) -> None:
    """An alias with its source and author makes a row map that waited before; headings and areas as well."""
    overlay = "".join(
        f'[[alias]]\nlist = "{name}"\ntext = "{text}"\nvalue = "{value}"\nsource = "来函"\nauthor = "管理员"\n'
        for name, text, value in (
            ("level", "五星", "GREEN"),
            ("heading.credit", "星级", "level"),
            ("area", "某新区", "5001X1"),
        )
    )
    adapter = exchange_chongqing.create(tables, {"aliases.toml": overlay.encode()})
    row = {key: value for key, value in CREDIT.items() if key not in ("信用等级", "评价得分")}
    record = read_one(adapter, row, 星级="五星", 所在区县="某新区").record
    assert record is not None
    assert record.credit_result.shared_level == CreditLevel.CREDIT_LEVEL_GREEN
    assert record.header.area_code == "5001X1"


def test_an_area_needs_its_city_where_names_repeat(sichuan: FormsAdapter) -> None:
    """市中区 is in several cities; a county of another city is a mistake."""
    both = read_one(sichuan, CREDIT, **{"市（州）": "内江市", "县（市、区）": "市中区"})
    assert both.record is not None
    assert both.record.header.area_code == "511002"
    assert reasons(read_one(sichuan, CREDIT, **{"县（市、区）": "市中区"})) == ["AREA_UNMAPPED"]
    assert reasons(read_one(sichuan, CREDIT, **{"市（州）": "成都市", "县（市、区）": "涪城区"})) == ["AREA_UNMAPPED"]


def test_an_authority_is_named_by_row_document_or_not_at_all(chongqing: FormsAdapter) -> None:
    """A name without a code is looked up and never given the document's code."""
    row = read_one(chongqing, CREDIT, 评价机关="重庆市生态环境局")
    assert row.record is not None
    assert row.record.header.authority.uscc == "11500000MB1614741U"
    assert reasons(read_one(chongqing, CREDIT, 评价机关="某某局")) == ["AUTHORITY_UNMAPPED"]
    own = read_one(chongqing, CREDIT, 评价机关="某某局", 评价机关统一社会信用代码=OFFICE.uscc)
    assert own.record is not None
    assert own.record.header.authority.name == "某某局"


def test_a_sole_trader_is_known_by_the_code(chongqing: FormsAdapter) -> None:
    """92 stands for 个体工商户, behind whom one person stands."""
    row = read_one(chongqing, CREDIT, 统一社会信用代码=made_uscc("chongqing", 2, "92"))
    assert row.record is not None
    assert row.record.credit_result.subject.kind == SubjectKind.SUBJECT_KIND_SOLE_TRADER


def test_a_normalised_code_is_marked(chongqing: FormsAdapter) -> None:
    """Letter case and blanks go, and provenance says that the source was otherwise."""
    row = read_one(chongqing, CREDIT, 统一社会信用代码=f" {FIRM.lower()} ")
    assert row.record is not None
    assert row.record.credit_result.subject.uscc == FIRM
    line = next(x for x in row.record.header.provenance.fields if x.field == "credit_result.subject.uscc")
    assert line.lossy


def test_a_state_is_only_assumed_where_there_is_no_column_of_states(chongqing: FormsAdapter) -> None:
    """A blank cell in a column of states is missing, and validation says so."""
    row = read_one(chongqing, CREDIT, 结果状态="")
    assert row.record is not None
    assert row.record.credit_result.state == CreditState.CREDIT_STATE_UNSPECIFIED


def test_layouts_that_can_not_be_read_are_refused(chongqing: FormsAdapter) -> None:
    """No table, a missing column, a column twice, two kinds in one document."""
    assert refusal(chongqing, b"a,b\n1,2\n") == "LAYOUT_UNKNOWN"
    without = {key: value for key, value in CREDIT.items() if key != "统一社会信用代码"}
    assert refusal(chongqing, csv_of([without])) == "HEADING_MISSING"
    assert refusal(chongqing, csv_of([{**CREDIT, "单位名称": "又一"}])) == "HEADING_DUPLICATE"


def test_the_kind_that_was_asked_for_must_be_found(chongqing: FormsAdapter) -> None:
    """A credit list that is sent as penalties is not read as credit results."""
    document = native(csv_of([CREDIT]), kind=Kind.KIND_PENALTY_NOTICE)
    assert not chongqing.recognises(document)
    assert chongqing.recognises(native(csv_of([CREDIT]), kind=Kind.KIND_CREDIT_RESULT))


def test_rows_of_a_cut_document_go_on_counting(chongqing: FormsAdapter) -> None:
    """Keys of rows are made from their numbers."""
    rows = chongqing.read(native(csv_of([CREDIT, {**CREDIT, "评价年度": "2023"}]), first_row=41)).rows
    assert [row.row for row in rows] == [41, 42]
    assert rows[1].record is not None
    assert rows[1].record.header.provenance.row == 42


def test_unknown_columns_are_told(chongqing: FormsAdapter) -> None:
    """What is not read is not dropped in silence."""
    reading = chongqing.read(native(csv_of([{**CREDIT, "法人电话": "1"}])))
    assert [(p.reason, p.place, p.detail) for p in reading.remarks] == [("HEADING_UNKNOWN", "G1", "法人电话")]


@given(st.binary(max_size=300))
def test_any_bytes_are_mapped_or_refused(content: bytes) -> None:
    """Whatever is sent, the only error is the refusal of the document."""
    refusal(_CHONGQING, content)
    refusal(_CHONGQING, csv_of([CREDIT]) + content)
    _CHONGQING.recognises(native(content))


@pytest.mark.parametrize("form", ["xlsx", "csv", "json"])
def test_not_evaluated_is_a_level_of_its_own_in_both_layouts(adapter: FormsAdapter, tables: Tables, form: str) -> None:
    """Every reason, with the source's words and without: written, read again, and sound; no score and no maximum."""
    stated: list[Record] = []
    for reason in NotEvaluatedReason.values()[1:]:
        for text in ("演示：厂区整体搬迁", "无法评价", ""):
            record = records.not_evaluated()
            record.credit_result.not_evaluated_reason = reason
            record.credit_result.source_not_evaluated_text = text
            if text or reason != NotEvaluatedReason.NOT_EVALUATED_REASON_OTHER:
                stated.append(record)
    written = adapter.write(stated, kind=Kind.KIND_CREDIT_RESULT, form=form)
    assert [problem.place for problem in written.lost if problem.place.startswith("credit_result.")] == []
    rows = adapter.read(native(written.content)).rows
    for before, row in zip(stated, rows, strict=True):
        assert row.record is not None
        assert not validate(row.record, tables, today=records.TODAY)
        assert row.record.credit_result == before.credit_result


def test_why_a_firm_was_not_evaluated_is_never_guessed(chongqing: FormsAdapter) -> None:
    """An unlisted reason waits; beside a score it contradicts itself; in a list of one column its words are kept."""
    changes = {"信用等级": "未参评", "评价得分": "", "未参评原因": "厂区搬迁"}
    assert reasons(read_one(chongqing, CREDIT, **changes)) == ["WORD_UNMAPPED"]
    listed = read_one(chongqing, CREDIT, **{**changes, "未参评原因": "新建企业"}).record
    assert listed is not None
    body = listed.credit_result
    assert body.not_evaluated_reason == NotEvaluatedReason.NOT_EVALUATED_REASON_NEWLY_ESTABLISHED
    assert body.source_not_evaluated_text == "新建企业"
    assert (body.score_max, body.score_kind) == ("", "")
    scored = read_one(chongqing, CREDIT, **{**changes, "未参评原因": "新建企业", "评价得分": "80"})
    assert reasons(scored) == ["LEVEL_SCORE_MISMATCH"]

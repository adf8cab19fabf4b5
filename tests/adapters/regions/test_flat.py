"""Kinds whose forms are driven by tables: words, cells, references, and the round trip of any record."""

from __future__ import annotations

import io
from collections.abc import Mapping

import openpyxl
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

import exchange_chongqing
import exchange_sichuan
from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.catalogues.table_file import TableError
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.kinds import spec
from exchange.domain.problems import Refused
from exchange.domain.validate import validate
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange_forms import FormsAdapter
from exchange_forms.flat.kinds import FLAT_KINDS
from exchange_sheets import heading_key
from tests.adapters.regions.documents import FIRM, csv_of, native, read_one, reasons
from tests.domain import records

KINDS = [flat.kind for flat in FLAT_KINDS]
NOTICE = records.OTHER_RECORD_ID

REPAIR = {
    "企业名称": "演示一有限公司",
    "统一社会信用代码": FIRM,
    "原通知记录编号": NOTICE,
    "修复决定文号": "演环修〔2026〕2号",
    "修复决定日期": "2026-02-25",
    "修复依据": "国家发展改革委令第58号",
    "修复事项": "终止公示；停止共享和使用；解除惩戒",
    "完成期限": "2026-03-05",
}
"""A sound repair of Chongqing."""


def test_a_repair_becomes_a_record_with_its_sources(chongqing: FormsAdapter) -> None:
    """The act is in the header, the notice is one of our own node, each effect has its word."""
    record = read_one(chongqing, REPAIR, 所在区县="渝北").record
    assert record is not None
    body, header = record.repair_notice, record.header
    assert (header.issued.document_no, header.issued.issued_on) == ("演环修〔2026〕2号", "2026-02-25")
    assert (body.notice.origin, body.notice.record_id, body.notice.revision) == ("cq", NOTICE, 0)
    assert list(body.effects) == [effect for effect in RepairEffect.values() if effect]
    assert body.subject.area_code == header.area_code == "500112"
    assert header.provenance.dialect == "chongqing-repair-notice-2026"
    lines = {line.field: (line.source, line.rule) for line in header.provenance.fields}
    assert lines["repair_notice.effects"] == ("G2", "alias")
    assert lines["repair_notice.notice.origin"] == ("side.toml", "own-node")
    assert lines["header.catalogue_no"] == ("repair_notice.toml", "default")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"修复事项": "终止公示；从轻"}, [("WORD_UNMAPPED", "G2", "从轻")]),
        ({"原通知记录编号": "演环罚〔2025〕1号"}, [("RECORD_REF_INVALID", "C2", "演环罚〔2025〕1号")]),
        ({"原通知记录编号": f"CQ/{NOTICE}/0"}, [("RECORD_REF_INVALID", "C2", f"CQ/{NOTICE}/0")]),
        ({"完成期限": "近日", "修复事项": "无效"}, [("WORD_UNMAPPED", "G2", "无效"), ("DATE_FORMAT", "H2", "近日")]),
    ],
)
def test_what_can_not_be_mapped_waits_with_its_cell(
    chongqing: FormsAdapter, changes: Mapping[str, str], expected: list[tuple[str, str, str]]
) -> None:
    """Every fault of the row, and nothing is guessed."""
    row = read_one(chongqing, {**REPAIR, **changes})
    assert [(p.reason, p.place, p.detail) for p in row.problems] == expected
    assert row.record is None


def test_each_side_has_its_own_words_and_reads_those_of_the_other(
    chongqing: FormsAdapter, sichuan: FormsAdapter
) -> None:
    """A record of one side in the other's headings and words, and back."""
    record = read_one(chongqing, REPAIR, 所在区县="渝北").record
    assert record is not None
    written = sichuan.write([record], kind=Kind.KIND_REPAIR_NOTICE, form="json").content.decode()
    assert '"处理事项": "停止公示；停止共享使用；解除失信惩戒措施"' in written
    assert f'"原失信信息记录编号": "cq/{NOTICE}"' in written
    for adapter in (sichuan, chongqing):
        (row,) = adapter.read(native(written.encode())).rows
        assert row.record is not None
        assert row.record.repair_notice == record.repair_notice


def test_a_revocation_says_whether_it_is_retroactive(chongqing: FormsAdapter) -> None:
    """No is said, and never assumed."""
    base = {
        **{key: value for key, value in REPAIR.items() if not key.startswith("修复")},
        "撤销途径": "复议撤销",
        "撤销决定文号": "演府复〔2026〕4号",
        "撤销决定日期": "2026-02-25",
        "撤销依据": "行政复议法 第六十四条",
        "撤销后处理事项": "终止公示；停止共享和使用；解除惩戒",
    }
    row = read_one(chongqing, base, 是否自始无效="否")
    assert row.record is not None
    assert not row.record.revocation_notice.retroactive
    assert reasons(read_one(chongqing, base, 是否自始无效="")) == ["FIELD_MISSING"]


def test_the_administrator_adds_words_and_headings(tables: Tables) -> None:
    """By the kind's own lists; a list that no kind has is a mistake."""

    def overlay(name: str, text: str, value: str) -> str:
        return f'[[alias]]\nlist = "{name}"\ntext = "{text}"\nvalue = "{value}"\nsource = "来函"\nauthor = "管理员"\n'

    added = overlay("repair_notice.effects", "撤下", "STOP_PUBLISH") + overlay(
        "heading.repair_notice", "限期", "due_by"
    )
    adapter = exchange_chongqing.create(tables, {"aliases.toml": added.encode()})
    row = {("限期" if key == "完成期限" else key): value for key, value in REPAIR.items()}
    assert reasons(read_one(adapter, row, 修复事项="撤下")) == []
    with pytest.raises(TableError):
        exchange_chongqing.create(tables, {"aliases.toml": overlay("repair.effects", "撤下", "STOP_PUBLISH").encode()})


_TABLES = load(read_all())
_SIDES = {
    "chongqing": exchange_chongqing.create(_TABLES, {}),
    "sichuan": exchange_sichuan.create(_TABLES, {}),
}
_SOUND = {str(make().WhichOneof("body")): make for make in records.SOUND.values()}
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), max_size=12)
_AWKWARD = st.sampled_from(
    ["无", "示例", "合计", "注：", "=1+1", "'=", "甲；乙", "甲|乙", " 甲", "甲\n乙", "12345", "2026-03-05"]
)


def _text_fields(message: Message, prefix: str = "") -> list[tuple[Message, str]]:
    """Every text of a body, set or not, with the message that holds it."""
    found: list[tuple[Message, str]] = []
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            found += [each for item in value if isinstance(item, Message) for each in _text_fields(item)]
        elif isinstance(value, Message):
            if message.HasField(field.name):
                found += _text_fields(value)
        elif field.type == field.TYPE_STRING:
            found.append((message, field.name))
    return found


@settings(max_examples=40)
@given(data=st.data())
def test_any_record_is_written_and_read_again_or_its_losses_are_told(data: st.DataObject) -> None:
    """read(write(record)) is the record, but for what the writer lists; whatever stands in its texts."""
    adapter = _SIDES[data.draw(st.sampled_from(sorted(_SIDES)))]
    kind = data.draw(st.sampled_from(KINDS))
    record: Record = _SOUND[spec(kind).field]()
    holders = _text_fields(getattr(record, spec(kind).field))
    for holder, name in data.draw(st.lists(st.sampled_from(holders), max_size=4)):
        before = getattr(holder, name)
        setattr(holder, name, data.draw(_TEXT | _AWKWARD))
        if validate(record, _TABLES, today=records.TODAY):
            setattr(holder, name, before)  # no record that could have travelled
    written = adapter.write([record], kind=kind, form=data.draw(st.sampled_from(["csv", "json", "xlsx"])))
    lost = {problem.place for problem in written.lost}
    (row,) = adapter.read(native(written.content)).rows
    stated = flatten(record)
    again = flatten(row.record) if row.record is not None else {}
    assert {plain_path(path) for path in stated if stated[path] != again.get(path)} <= lost


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_lists_every_word_that_it_takes(adapter: FormsAdapter, kind: Kind.ValueType) -> None:
    """A drop-down list for each closed list; the example row is passed over."""
    content = adapter.template(kind).content
    assert adapter.read(native(content)).rows == ()
    choices = openpyxl.load_workbook(io.BytesIO(content))["选项"]
    listed = {str(cell.value) for column in choices.iter_cols() for cell in column}
    for words in adapter.tables.forms[kind].words.values():
        assert listed >= set(words.texts.values())


def test_an_empty_cell_is_no_word(chongqing: FormsAdapter) -> None:
    """Blank effects are left out, for validation to refuse; a document without the column is refused whole."""
    row = read_one(chongqing, REPAIR, 修复事项="无")
    assert row.record is not None
    assert list(row.record.repair_notice.effects) == []
    without = {key: value for key, value in REPAIR.items() if key != "完成期限"}
    assert not chongqing.recognises(native(csv_of([{"企业名称": "演示"}])))
    with pytest.raises(Exception, match="HEADING_MISSING"):
        chongqing.read(native(csv_of([without])))


@pytest.mark.parametrize("kind", KINDS)
def test_each_side_knows_every_heading_of_the_other(
    chongqing: FormsAdapter, sichuan: FormsAdapter, kind: Kind.ValueType
) -> None:
    """Whatever one side writes, the other can read, column by column."""
    for reader, writer in ((chongqing, sichuan), (sichuan, chongqing)):
        known = reader.tables.forms[kind].layout.aliases
        for column in writer.tables.forms[kind].layout.columns:
            assert (column.heading, known.get(heading_key(column.heading))) == (column.heading, column.field)


FEEDBACK = {
    "企业名称": "演示一有限公司",
    "统一社会信用代码": FIRM,
    "通知记录编号": f"sc/{NOTICE}",
    "事项类型": "资金支持",
    "事项编号": "资金〔2026〕8号",
    "措施": "B1 限制申请财政性资金项目",
    "落实情况": "已落实",
    "未落实原因": "",
    "落实文书文号": "演环资〔2026〕3号",
    "办理日期": "2026-02-20",
    "经办人编号": "0117",
}
"""A sound feedback of Chongqing."""
SECOND = {key: FEEDBACK[key] for key in ("通知记录编号", "事项编号")}


def test_rows_of_one_matter_are_one_record(chongqing: FormsAdapter) -> None:
    """Each row is one measure; the rest stands in the first; one line of provenance for each column of the items."""
    more = {**SECOND, "措施": "C2", "落实情况": "不适用", "未落实原因": "不属于行政机关职责"}
    other = {**FEEDBACK, "事项编号": "资金〔2026〕9号"}
    rows = chongqing.read(native(csv_of([FEEDBACK, other, more]))).rows
    assert [(row.row, row.place, row.joined) for row in rows] == [(1, "line 2", ("line 4",)), (2, "line 3", ())]
    record = rows[0].record
    assert record is not None
    assert [each.code for each in record.measure_feedback.results] == ["B1", "C2"]
    lines = {line.field: line.source for line in record.header.provenance.fields}
    assert lines["measure_feedback.results.code"] == "F2…F4"
    assert lines["measure_feedback.results.reason"] == "H4"


def test_rows_that_contradict_each_other_wait(chongqing: FormsAdapter) -> None:
    """Which of two dates is right is never guessed, nor is what stands below an empty cell taken for all."""
    for changed, place in (({"办理日期": "2026-02-21"}, "J3"), ({"核查编号": NOTICE}, "L3")):
        first = {**FEEDBACK, "核查编号": ""}
        (row,) = chongqing.read(native(csv_of([first, {**SECOND, "措施": "C1", "落实情况": "不适用", **changed}]))).rows
        assert [(p.reason, p.place) for p in row.problems] == [("ROWS_DIFFER", place)]
        assert "C1" in row.content


def test_a_code_that_is_another_measure_waits(chongqing: FormsAdapter) -> None:
    """Two catalogues have a B1: the name beside the code has to be its own."""
    for text in ("B1 从严审查行政许可申请（警示）", "《企业环境信用评价结果应用措施》（2012）B1", "限制贷款"):
        assert reasons(read_one(chongqing, FEEDBACK, 措施=text)) == ["MEASURE_UNMAPPED"]
    row = read_one(chongqing, FEEDBACK, 措施="《企业环境信用评价结果应用措施》（2013）B1 从严审查行政许可申请（警示）")
    assert row.record is not None
    (result,) = row.record.measure_feedback.results
    assert (result.catalogue, result.edition, result.code) == ("企业环境信用评价结果应用措施", "2013", "B1")


def test_a_person_is_masked_in_every_row_of_the_record(chongqing: FormsAdapter) -> None:
    """Also in a row that does not say whom it is about, and in what is kept of the document."""
    first = {**FEEDBACK, "企业名称": "欧阳演示", "主体类别": "自然人", "统一社会信用代码": ""}
    second = {**SECOND, "措施": "B2", "落实情况": "未落实", "未落实原因": "欧阳演示已迁出"}
    reading = chongqing.read(native(csv_of([first, second])))
    (row,) = reading.rows
    assert row.record is not None
    assert row.record.measure_feedback.results[1].reason == "欧**已迁出"
    for text in (row.content, str(row.record), reading.redacted.decode()):
        assert "欧阳" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_what_joins_rows_is_needed(kind: Kind.ValueType) -> None:
    """A heading that is known later must not join rows that were answered one by one: their numbers are their keys."""
    flat = next(each for each in FLAT_KINDS if each.kind == kind)
    assert {(column,) for column in flat.joined_by} <= {*flat.found_by, *flat.needed}


@settings(max_examples=30)
@given(data=st.data())
def test_rows_of_several_records_may_stand_in_any_order(data: st.DataObject) -> None:
    """Tasks of several firms, shuffled: each firm is still of its own task, and no task has another's."""
    adapter = _SIDES["chongqing"]
    tasks: list[Record] = []
    for number in range(data.draw(st.integers(1, 3))):
        record = records.inspection()
        record.inspection_task.task_no = f"演联检〔2026〕{number}号"
        del record.inspection_task.targets[:]
        for at in range(data.draw(st.integers(1, 4))):
            target = record.inspection_task.targets.add(chosen_by=f"抽取{at}")
            target.subject.CopyFrom(records.inspection().inspection_task.targets[0].subject)
            target.subject.uscc = records.make_uscc(100 * number + at)
        tasks.append(record)
    written = adapter.write(tasks, kind=Kind.KIND_INSPECTION_TASK, form="csv").content.decode("utf-8-sig")
    head, *lines = written.strip().split("\r\n")
    shuffled = data.draw(st.permutations(lines))
    rows = adapter.read(native("\r\n".join([head, *shuffled]).encode())).rows
    found = {}
    for row in rows:
        # The first row of a task says all of it, whichever it is: each row repeats what is said once.
        assert row.record is not None
        body = row.record.inspection_task
        found[body.task_no] = {target.subject.uscc for target in body.targets}
        assert body.sampling_rule == tasks[0].inspection_task.sampling_rule
    assert found == {
        each.inspection_task.task_no: {target.subject.uscc for target in each.inspection_task.targets} for each in tasks
    }


def test_two_records_under_one_number_are_not_written_into_one_table(adapter: FormsAdapter) -> None:
    """Their rows could not be told apart again."""
    with pytest.raises(Refused, match="ROWS_OF_TWO_RECORDS"):
        adapter.write([records.inspection(), records.inspection()], kind=Kind.KIND_INSPECTION_TASK, form="xlsx")


def test_a_list_of_several_words_refuses_nothing_that_is_typed(adapter: FormsAdapter) -> None:
    """Three effects stand in one cell: the drop-down suggests them, and lists of one word stay strict."""
    book = openpyxl.load_workbook(io.BytesIO(adapter.template(Kind.KIND_REPAIR_NOTICE).content)).worksheets[0]
    columns = [column.field for column in adapter.tables.forms[Kind.KIND_REPAIR_NOTICE].layout.columns]
    strict = {
        columns[next(iter(rule.sqref.ranges)).min_col - 1]: rule.showErrorMessage
        for rule in book.data_validations.dataValidation
    }
    assert not strict["effects"]
    assert strict["subject_kind"]


def test_fields_that_officers_name_are_fields(adapter: FormsAdapter) -> None:
    """Every name of a doubted field is a path that records have."""
    for path in adapter.tables.forms[Kind.KIND_CORRECTION_REQUEST].words["field"].texts:
        message: Message = Record()
        *above, last = path.split(".")
        for name in above:
            message = getattr(message, name)
        assert last in message.DESCRIPTOR.fields_by_name

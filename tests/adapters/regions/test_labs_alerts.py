"""Laboratories and alerts: rows of one record, instants, units, factors, and what only one kind of event has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.kinds import kind_of
from exchange.domain.validate import validate
from exchange.tables import read_all
from exchange.v1.alert_pb2 import AlertKind, DefenceLevel, GasRing, GateState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms import FormsAdapter
from exchange_forms.flat.quantities import CHINA_TIME, read_instant
from tests.adapters.regions.documents import FIRM, csv_of, native, read_one, reasons
from tests.domain import records

_TABLES = load(read_all())

LAB = {
    "资质认定证书编号": "250012050001",
    "机构名称": "演示环境监测有限公司",
    "统一社会信用代码": FIRM,
    "发证机关": "演示市场监督管理局",
    "证书有效期起": "2025-03-01",
    "证书有效期止": "2031-02-28",
    "所属名录": "演示名录",
    "名录状态": "在册",
    "状态起始日期": "2025-03-05",
    "检测对象": "水和废水",
    "检测项目": "化学需氧量",
    "因子编码": "W01018",
    "检测标准（方法）": "HJ 828-2017",
    "能力生效日期": "2025-03-01",
}
"""A sound laboratory of Chongqing with one line of scope."""

ALERT = {
    "事件编号": "CQ-20260226-001",
    "报告序号": "1",
    "报告类型": "初报",
    "是否演练": "是",
    "事件类型": "有毒有害气体",
    "事件级别": "尚未确定",
    "获知时间": "2026-02-26 08:00",
    "报告时间": "2026年2月26日8时30分",
    "事发区县": "江津区",
    "事发地点": "演示园区北门",
    "报告单位": "演示区生态环境局",
    "值班联系": "演示市应急值班室",
    "化工园区": "演示园区",
    "预警圈层": "厂界",
}
"""A sound alert of Chongqing about toxic gas."""


def test_rows_of_a_laboratory_are_its_scope_and_its_suspensions(chongqing: FormsAdapter) -> None:
    """Two lists side by side, in rows that the certificate's number joins; each cell has its line of provenance."""
    line = {"资质认定证书编号": "250012050001", "统一社会信用代码": FIRM}
    more = {"检测对象": "水和废水", "检测项目": "氨氮", "检测标准（方法）": "HJ 535-2009", "能力生效日期": "2025-03-01"}
    first = {"暂停起始日期": "2025-11-01", "暂停原因": "演示：记录不一致", "名录状态": "暂停"}
    (row,) = chongqing.read(native(csv_of([{**LAB, **first}, {**line, **more}]))).rows
    assert row.record is not None
    body = row.record.lab_qualification
    assert [(each.factor_code, each.method_standard) for each in body.scope] == [
        ("w01018", "HJ 828-2017"),
        ("", "HJ 535-2009"),
    ]
    assert [each.suspended_from for each in body.suspensions] == ["2025-11-01"]
    assert "lab_qualification.scope.factor_code" in {line.field for line in row.record.header.provenance.fields}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"资质认定证书编号": "渝质监认字第1号"}, ["CMA_NO_FORMAT"]),
        ({"因子编码": "化学需氧量"}, ["FACTOR_UNMAPPED"]),
        ({"名录状态": "整改"}, ["WORD_UNMAPPED"]),
        ({"证书有效期止": "六年", "暂停起始日期": "去年"}, ["DATE_FORMAT", "DATE_FORMAT"]),
        ({"关联处罚记录编号": "演环罚〔2025〕1号"}, ["RECORD_REF_INVALID"]),
    ],
)
def test_what_a_laboratory_can_not_say_waits(
    chongqing: FormsAdapter, changes: Mapping[str, str], expected: list[str]
) -> None:
    """Every fault of the row; a name of a factor is not taken for its code."""
    assert reasons(read_one(chongqing, {**LAB, **changes})) == expected


def test_an_alert_has_what_its_kind_of_event_has_and_nothing_else(chongqing: FormsAdapter, tables: Tables) -> None:
    """Gas has its park and ring; a river in its row contradicts it and waits, for nothing is dropped."""
    record = read_one(chongqing, ALERT, **{"风向（度）": "315", "平均时间（分钟）": "5"}).record
    assert record is not None
    assert not validate(record, tables, today=records.TODAY)
    body = record.alert
    assert body.WhichOneof("details") == "gas"
    assert (body.gas.ring, body.gas.averaging_minutes) == (GasRing.GAS_RING_PLANT_BOUNDARY, 5)
    assert body.reported_at.ToDatetime(UTC) == datetime(2026, 2, 26, 0, 30, tzinfo=UTC)
    assert (body.location.area_code, record.header.area_code) == ("500116", "500116")
    assert reasons(read_one(chongqing, {**ALERT, "污染河流": "演示河"})) == ["COLUMN_OF_OTHER_EVENT"]
    assert reasons(read_one(chongqing, {**ALERT, "事件类型": "气味"})) == ["WORD_UNMAPPED"]
    assert reasons(read_one(chongqing, {**ALERT, "主要污染物": "苯", "泄漏量": "3", "泄漏量单位": "车"})) == [
        "UNIT_UNMAPPED"
    ]


@pytest.mark.parametrize("kind", [each for each in AlertKind.values() if each])
def test_each_kind_of_event_goes_through_both_layouts(
    chongqing: FormsAdapter, sichuan: FormsAdapter, kind: AlertKind.ValueType
) -> None:
    """A whole report with its details, written in either side's words, and read again as the same."""
    record = records.alert()
    body = record.alert
    body.alert_kind = kind
    body.ClearField("details")
    if kind == AlertKind.ALERT_KIND_WATER_POLLUTION:
        body.water.river_id, body.water.stretch_km = "演示河", "0.5"
        body.water.expected_at.seconds = records.DATA_SECOND
    elif kind == AlertKind.ALERT_KIND_TOXIC_GAS:
        body.gas.park_id, body.gas.wind_direction_deg = "演示园区", "0"
        body.gas.ring = GasRing.GAS_RING_PARK_BOUNDARY
    else:
        body.wastewater.pool_volume_m3 = "5000"
        body.wastewater.defence_level = DefenceLevel.DEFENCE_LEVEL_PARK
        body.wastewater.gate_state = GateState.GATE_STATE_PARTLY_OPEN
    body.pollutants.add(name="柴油", amount="300", unit="[ppm]")
    for adapter in (chongqing, sichuan):
        (row,) = adapter.read(native(adapter.write([record], kind=Kind.KIND_ALERT, form="xlsx").content)).rows
        assert row.record is not None
        assert row.record.alert == body


def test_reports_of_two_events_are_not_mixed(chongqing: FormsAdapter) -> None:
    """Rows are joined by event and sequence, wherever they stand."""
    two = {**ALERT, "事件编号": "CQ-20260226-002"}
    extra = {"事件编号": ALERT["事件编号"], "报告序号": "1", "主要污染物": "氯气"}
    rows = chongqing.read(native(csv_of([ALERT, two, extra]))).rows
    found = [row.record or Record() for row in rows]
    assert [(each.alert.event_id, len(each.alert.pollutants)) for each in found] == [
        ("CQ-20260226-001", 1),
        ("CQ-20260226-002", 0),
    ]


@given(st.integers(0, 4_102_444_799))
def test_every_way_to_write_an_instant_is_the_same_instant(seconds: int) -> None:
    """To the second, the minute, or the hour, in UTC+8."""
    at = exact = datetime.fromtimestamp(seconds, CHINA_TIME)
    minute = exact.replace(second=0)
    assert read_instant(exact.strftime("%Y-%m-%d %H:%M:%S")) == exact
    assert read_instant(exact.strftime("%Y-%m-%dT%H:%M:%S")) == exact
    assert read_instant(f"{at.year}年{at.month}月{at.day}日{at.hour}时{at.minute}分{at.second}秒") == exact
    assert read_instant(f"{at.year}/{at.month}/{at.day} {at.hour}:{at.minute:02}") == minute
    assert read_instant(f"{at.year}年{at.month}月{at.day}日{at.hour}时") == minute.replace(minute=0)


@pytest.mark.parametrize(
    "text",
    ["2026-02-26", "2026-02-30 08:00", "2026-02-26 25:00", "02/26/2026 08:00", "2026-02/26 08:00", "8时许", "26日8时"],
)
def test_what_may_be_another_instant_is_none(text: str) -> None:
    """A day alone, no day of the calendar, no year: never guessed."""
    assert read_instant(text) is None


def _fewer(data: st.DataObject, record: Record) -> None:
    """Take away what may be absent, and change how many items its lists have; it stays a record that could travel."""
    body = getattr(record, str(record.WhichOneof("body")))
    for field in body.DESCRIPTOR.fields:
        if field.is_repeated and field.message_type is not None:
            items = getattr(body, field.name)
            items.extend([items[0]] * data.draw(st.integers(0, 3), label=field.name) if items else [])
            for item in items:
                _clear_some(data, record, item)
    _clear_some(data, record, body)


def _clear_some(data: st.DataObject, record: Record, message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in ("area_code", "location") or not data.draw(st.booleans()):
            continue
        before = [*value] if field.is_repeated else value
        message.ClearField(field.name)
        if not validate(record, _TABLES, today=records.TODAY):
            continue
        if field.is_repeated:
            getattr(message, field.name).extend(before)
        elif isinstance(before, Message):
            getattr(message, field.name).CopyFrom(before)
        else:
            setattr(message, field.name, before)


@settings(max_examples=40)
@given(data=st.data())
def test_a_record_with_any_part_absent_comes_back_or_its_losses_are_told(
    chongqing: FormsAdapter, sichuan: FormsAdapter, data: st.DataObject
) -> None:
    """No absent part is made up, and no part that is there is dropped untold, whatever else is absent."""
    record = data.draw(st.sampled_from([records.lab, records.alert]))()
    _fewer(data, record)
    kind = kind_of(record)
    adapter = chongqing if data.draw(st.booleans(), label="chongqing") else sichuan
    written = adapter.write([record], kind=kind, form="csv")
    (row,) = adapter.read(native(written.content)).rows
    stated, again = flatten(record), flatten(row.record or Record())
    lost = {problem.place for problem in written.lost}
    assert {plain_path(path) for path, value in stated.items() if again.get(path) != value} <= lost
    body = f"{record.WhichOneof('body')}."
    assert [
        path for path in again if path.startswith(body) and path not in stated and plain_path(path) not in lost
    ] == []

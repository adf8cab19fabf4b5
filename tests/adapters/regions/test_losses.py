"""What layouts can not carry is found out, told with its reason, and true."""

from __future__ import annotations

from importlib.resources import files

import pytest
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from exchange.domain.catalogues.tables import Tables
from exchange.domain.losses import SOME_VALUES, LossReport, Treatment, paths_of, report
from exchange.domain.problems import Refused
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms import FormsAdapter, load_side
from exchange_forms.forms import forms_of
from exchange_forms.losses import losses_of
from exchange_forms.sides.side import Side

CREDIT = Kind.KIND_CREDIT_RESULT


def untold(found: LossReport, paths: list[str]) -> list[str]:
    """Fields that a report is silent about, or says two things of."""
    places = [problem.place for problem in found.fields if problem.reason != SOME_VALUES]
    return [
        path
        for path in paths
        if (path in found.carried) + sum(path == place or path.startswith(f"{place}.") for place in places) != 1
    ]


def test_every_field_of_every_kind_is_carried_or_listed_with_its_reason(adapter: FormsAdapter) -> None:
    """No field is left out, none is told twice, and every column that is not ignored on purpose is of some field."""
    for kind in adapter.kinds:
        found = adapter.losses(kind)
        assert untold(found, paths_of(kind)) == [], found.layout
        if kind == Kind.KIND_MONITORING_BATCH:
            continue
        form = forms_of(adapter.tables)[kind]
        on_purpose = {
            heading
            for layout in form.layouts
            for heading, name in layout.aliases.items()
            if name in ("ignored", "personal")
        }
        assert {problem.place for problem in found.columns} <= on_purpose, found.layout


def test_reasons_are_those_that_hold(chongqing: FormsAdapter, sichuan: FormsAdapter) -> None:
    """The same field of the same kind: carried there, only read here, or following from another column."""
    here, there = chongqing.losses(CREDIT), sichuan.losses(CREDIT)
    assert there.carried["credit_result.self_declared"] == "是否自评申报"
    assert there.carried["credit_result.subject.area_code"] == "市（州）、县（市、区）"
    why = {problem.place: (problem.reason, problem.detail) for problem in here.fields}
    assert why["credit_result.self_declared"] == ("LOSS_ONLY_READ", "企业自评")
    assert why["credit_result.window_end"] == ("LOSS_FOLLOWS", "评价年度")
    assert why["credit_result.score_max"] == ("LOSS_FROM_TABLES", "schemes.toml")
    assert why["header.purpose"] == ("LOSS_WITH_DOCUMENT", "")
    assert why["header.attachments"] == ("LOSS_NO_PLACE", "")
    penalties = {problem.place: problem.reason for problem in chongqing.losses(Kind.KIND_PENALTY_NOTICE).columns}
    assert penalties["法定代表人证件号码"] == "LOSS_COLUMN_REMOVED"
    packets = {each.place: (each.reason, each.detail) for each in chongqing.losses(Kind.KIND_MONITORING_BATCH).fields}
    assert packets["monitoring_batch.station.uscc"] == ("LOSS_FROM_TABLES", "stations.toml")
    assert packets["monitoring_batch.resend"] == ("LOSS_ONLY_READ", "RF")
    assert packets["monitoring_batch.interval"] == ("LOSS_SOME_VALUES", "INTERVAL_MANUAL_SAMPLE")


def test_what_is_told_as_carried_is_never_lost(adapter: FormsAdapter) -> None:
    """Every record of the samples, written and read again: each field that is lost is one that the report lists."""
    for kind in adapter.kinds:
        if kind == Kind.KIND_MONITORING_BATCH:
            continue
        found = adapter.losses(kind)
        records = [
            row.record
            for sample in adapter.samples()
            if sample.document.kind == kind and "RECORD" in sample.expected
            for row in adapter.read(sample.document).rows
            if row.record is not None
        ]
        written = adapter.write(records, kind=kind, form="csv")
        assert len(written.lost_of) == len(records)
        told = {(problem.reason, problem.place) for lost in written.lost_of for problem in lost}
        assert {place for reason, place in told if reason == "FIELD_NOT_CARRIED"} == set()
        assert ("LOSS_WITH_DOCUMENT", "header.purpose") in told
        assert {place for _, place in told}.isdisjoint(found.carried)


def test_a_kind_without_layout_has_no_report(chongqing: FormsAdapter) -> None:
    """Refused as writing it is."""
    with pytest.raises(Refused, match="LAYOUT_UNKNOWN"):
        chongqing.losses(Kind.KIND_ANSWER)


def grown_schema() -> Descriptor:
    """The schema of a record in which a credit result has one field more."""
    pool = DescriptorPool()

    def add(file: FileDescriptor) -> None:
        for each in file.dependencies:
            add(each)
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            if message.name == "CreditResult":
                message.field.add(
                    name="appeal_days",
                    number=99,
                    type=FieldDescriptorProto.TYPE_INT32,
                    label=FieldDescriptorProto.LABEL_OPTIONAL,
                )
        pool.AddSerializedFile(proto.SerializeToString())

    add(Record.DESCRIPTOR.file)
    return pool.FindMessageTypeByName(Record.DESCRIPTOR.full_name)


def test_a_field_that_the_schema_gains_is_told(chongqing: FormsAdapter) -> None:
    """Nobody has to write it down: it has no place, and every field is told still."""
    known = chongqing.losses(CREDIT)
    schema = grown_schema()
    found = report(CREDIT, known.layout, {path: Treatment(by=by) for path, by in known.carried.items()}, schema=schema)
    assert {each.place: each.reason for each in found.fields}["credit_result.appeal_days"] == "LOSS_NO_PLACE"
    assert untold(found, paths_of(CREDIT, schema)) == []


def side_with(tables: Tables, column: str) -> Side:
    """Chongqing's tables with one column more in the credit form."""
    folder = files("exchange_chongqing") / "tables"
    own = {each.name: each.read_bytes() for each in folder.iterdir() if each.name != "stations.toml"}
    own["credit.toml"] = own["credit.toml"].replace(b"column = [", f"column = [\n  {column},".encode(), 1)
    return load_side(own, {}, tables)


def test_a_column_that_a_layout_gains_is_told(chongqing: FormsAdapter, tables: Tables) -> None:
    """One that nothing reads is told as ignored; one for a field that only Sichuan had becomes carried."""
    before = chongqing.losses(CREDIT)
    side = side_with(tables, '{ field = "contact", heading = "环保联系人" }')
    found = losses_of(forms_of(side)[CREDIT], side)
    assert {each.place: each.reason for each in found.columns}["环保联系人"] == "LOSS_COLUMN_IGNORED"
    assert found.carried == before.carried
    side = side_with(tables, '{ field = "self_declared", heading = "是否自评" }')
    found = losses_of(forms_of(side)[CREDIT], side)
    assert found.carried["credit_result.self_declared"] == "是否自评"
    assert len(found.columns) == len(before.columns)

"""Small documents for tests."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from exchange.domain.adapter import Adapter, MappedRow, NativeDocument
from exchange.domain.problems import DocumentRefused
from exchange.v1.common_pb2 import Authority
from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.making import AUTHORITY, made_uscc

OFFICE = Authority(uscc=made_uscc("chongqing", 999_001, AUTHORITY), name="演示重庆生态环境局")
RECEIVED_AT = datetime(2026, 3, 1, tzinfo=UTC)
FIRM = made_uscc("chongqing", 1)


def native(content: bytes, *, kind: Kind.ValueType = Kind.KIND_UNSPECIFIED, first_row: int = 1) -> NativeDocument:
    """A document as an agency sends it."""
    return NativeDocument(
        file_name="document",
        content=content,
        received_at=RECEIVED_AT,
        kind=kind,
        authority=OFFICE,
        purpose="演示",
        salt=bytes(range(32)),
        first_row=first_row,
    )


def csv_of(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Rows by heading as CSV."""
    headings = list(dict.fromkeys(key for row in rows for key in row))
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, headings)
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode()


CREDIT = {
    "企业名称": "演示一有限公司",
    "统一社会信用代码": FIRM,
    "评价年度": "2024",
    "评价得分": "90",
    "信用等级": "环保良好企业",
    "公布日期": "2025-11-20",
}
"""A sound credit result of Chongqing."""

PENALTY = {
    "CF_XDR_MC": "演示一有限公司",
    "CF_XDR_LB": "法人及非法人组织",
    "CF_XDR_SHXYM": FIRM,
    "CF_WSH": "演示环罚〔2025〕1号",
    "CF_WFSS": "演示数据",
    "CF_YJ": "《中华人民共和国水污染防治法》第八十三条",
    "CF_CFLB": "罚款",
    "CF_NR_FK": "0.2",
    "CF_JDRQ": "2025-06-18",
    "CF_YXQ": "2099-12-31",
}
"""A sound penalty under field codes, which both sides read."""


def read_one(adapter: Adapter, base: Mapping[str, str], **changes: str) -> MappedRow:
    """The row that comes out of a document of one row; headings in Chinese are given as keywords as well."""
    (row,) = adapter.read(native(csv_of([{**base, **changes}]))).rows
    return row


def reasons(row: MappedRow) -> list[str]:
    """Every reason that keeps a row from being a record."""
    return [problem.reason for problem in row.problems]


def refusal(adapter: Adapter, content: bytes) -> str:
    """Why a document is refused; empty when it is not."""
    try:
        adapter.read(native(content))
    except DocumentRefused as refused:
        return refused.reason
    return ""

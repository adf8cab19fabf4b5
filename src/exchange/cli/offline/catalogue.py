"""``catalogue``: what is shared, by whom, how often and for which uses; and as a workbook for a provincial platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from exchange.cli.adapter_set import domain_tables
from exchange.cli.options import JsonOption
from exchange.cli.output import Output
from exchange.cli.texts import CHINESE, t, word
from exchange.domain import kinds
from exchange.v1.record_pb2 import Record, ShareClass
from exchange_sheets import OutSheet, write_xlsx

if TYPE_CHECKING:
    from exchange.domain.catalogues.sharing import SharingCatalogue, SharingEntry

app = typer.Typer(help=t("help.catalogue"), no_args_is_help=True)

TablesOption = Annotated[
    Path | None, typer.Option("--tables", help=t("option.tables"), file_okay=False, exists=True, show_default=False)
]

_DEPTH: Final = 4
"""How deep fields are listed: a record has no part of interest below that."""

_TYPES: Final = {
    FieldDescriptor.CPPTYPE_STRING: "字符型",
    FieldDescriptor.CPPTYPE_BOOL: "逻辑型",
    FieldDescriptor.CPPTYPE_ENUM: "代码型",
    FieldDescriptor.CPPTYPE_INT32: "数值型",
    FieldDescriptor.CPPTYPE_INT64: "数值型",
}


@app.command("list", help=t("help.catalogue_list"))
def list_entries(tables: TablesOption = None, *, as_json: JsonOption = False) -> None:
    """List the rows of the sharing catalogue; kinds without one are not sent."""
    out = Output(as_json)
    catalogue = domain_tables(tables).sharing
    if out.as_json:
        out.value(
            {
                "edition": catalogue.edition,
                "source": catalogue.source,
                "excluded_uses": list(catalogue.excluded),
                "entries": [
                    {
                        "kind": kinds.spec(entry.kind).name,
                        "catalogue_no": entry.catalogue_no,
                        "title": entry.title,
                        "provider": entry.provider,
                        "share_class": _share_class(entry),
                        "condition": entry.condition,
                        "frequency": entry.frequency,
                        "uses": list(entry.uses),
                    }
                    for entry in catalogue.entries.values()
                ],
            }
        )
    out.facts([("edition", catalogue.edition), ("source", catalogue.source)])
    out.table(
        ("kind", "catalogue_no", "title", "provider", "share_class", "frequency", "uses"),
        [
            (
                kinds.spec(entry.kind).name,
                entry.catalogue_no,
                entry.title,
                entry.provider,
                word("share_class", _share_class(entry)),
                word("frequency", entry.frequency),
                "、".join(entry.uses),
            )
            for entry in catalogue.entries.values()
        ],
    )


@app.command("export", help=t("help.catalogue_export"))
def export(
    output: Annotated[Path, typer.Argument(help=t("option.catalogue_file"), dir_okay=False)] = Path(
        "sharing-catalogue.xlsx"
    ),
    tables: TablesOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the catalogue as a workbook: its rows, and the items of each kind, in Chinese whatever the language."""
    out = Output(as_json)
    catalogue = domain_tables(tables).sharing
    output.write_bytes(write_xlsx([_rows(catalogue), _items(catalogue)]))
    if out.as_json:
        out.value({"file": str(output), "entries": len(catalogue.entries)})
    out.say(t("message.written", file=output))


def _share_class(entry: SharingEntry) -> str:
    return ShareClass.Name(entry.share_class).removeprefix("SHARE_CLASS_")


def _rows(catalogue: SharingCatalogue) -> OutSheet:
    headings = (
        "目录编号",
        "信息资源名称",
        "信息资源摘要",
        "提供单位",
        "共享属性",
        "共享条件",
        "共享方式",
        "更新频率",
        "使用范围",
        "记录种类",
    )
    rows = [
        (
            entry.catalogue_no,
            entry.title,
            entry.summary,
            entry.provider,
            word("share_class", _share_class(entry), CHINESE),
            entry.condition,
            "接口",
            word("frequency", entry.frequency, CHINESE),
            "、".join(entry.uses),
            kinds.spec(entry.kind).name,
        )
        for entry in catalogue.entries.values()
    ]
    notes = (f"版本：{catalogue.edition}", f"来源：{catalogue.source}", f"不得用于：{'、'.join(catalogue.excluded)}")
    return OutSheet(name="共享目录", title="政务数据共享目录", headings=headings, rows=rows, notes=notes)


def _items(catalogue: SharingCatalogue) -> OutSheet:
    rows: list[tuple[str, ...]] = []
    for entry in catalogue.entries.values():
        body = Record.DESCRIPTOR.fields_by_name[kinds.spec(entry.kind).field].message_type
        if body is not None:
            rows += [(entry.catalogue_no, entry.title, *item) for item in _fields(body, "", _DEPTH)]
    return OutSheet(name="信息项", headings=("目录编号", "信息资源名称", "信息项", "数据类型", "可多值"), rows=rows)


def _fields(message: Descriptor, prefix: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """Every item of a message: its path, its type, and whether there may be several."""
    for field in message.fields:
        several = "是" if field.is_repeated else "否"
        part = field.message_type
        if part is None:
            yield f"{prefix}{field.name}", _TYPES.get(field.cpp_type, "二进制"), several
        elif part.full_name == "google.protobuf.Timestamp":
            yield f"{prefix}{field.name}", "日期时间型", several
        elif depth > 1:
            yield from _fields(part, f"{prefix}{field.name}.", depth - 1)

"""A side's tables: layouts, names and defaults, checked once. Bytes come in, typed tables leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files

from exchange.domain.catalogues.table_file import Row, open_table
from exchange.domain.catalogues.tables import Tables
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState, NotEvaluatedReason
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange_forms.flat.loading import load_forms
from exchange_forms.sides.files import Overlay, read_columns, read_enum, read_file, read_overlay, read_sharing
from exchange_forms.sides.places import make_places
from exchange_forms.sides.side import (
    CREDIT,
    CURRENT,
    OLD,
    Column,
    CreditTables,
    Layout,
    PenaltyTables,
    SchemeRule,
    Side,
)
from exchange_forms.sides.vocabulary import Vocabulary, read_vocabulary, text_key
from exchange_sheets import heading_key


def load_side(regional: Mapping[str, bytes], overlays: Mapping[str, bytes], tables: Tables) -> Side:
    """Check a side's tables.

    Args:
        regional: Table files of the region's package: ``side.toml``, ``credit.toml`` and ``penalty.toml``, and one
            for each kind of :mod:`exchange_forms.flat` that it has a layout for.
        overlays: The administrator's additions; ``aliases.toml`` is read here.
        tables: The domain's tables.

    Raises:
        TableError: A file is missing or ill-formed; names file and place.
    """
    folder = files("exchange_forms") / "tables"
    common = open_table("common.toml", (folder / "common.toml").read_bytes())
    national = open_table("penalty.toml", (folder / "penalty.toml").read_bytes())
    side_file = read_file(regional, "side.toml")
    credit_file = read_file(regional, "credit.toml")
    penalty_file = read_file(regional, "penalty.toml")
    for file in (common, national, side_file, credit_file, penalty_file):
        file.text("source")
        file.text("status")
    added = read_overlay(overlays)
    common.text("edition")
    blank = frozenset(map(text_key, common.texts("blank")))
    no_end = common.texts("no_end")
    area_code = side_file.text("area_code")
    if tables.areas.find(area_code) is None:
        raise side_file.wrong("area_code", "is no area")
    place_names = read_vocabulary(side_file, "area").with_aliases(added.take("area"))
    side = Side(
        name=side_file.text("name"),
        side=side_file.text("side"),
        edition=side_file.text("edition"),
        title=side_file.text("title"),
        notes=side_file.texts("notes"),
        area_code=area_code,
        places=make_places(tables.areas, area_code, place_names.values),
        authorities=read_vocabulary(side_file, "authority").with_aliases(added.take("authority")),
        blank=blank,
        no_end=frozenset(map(text_key, no_end)),
        no_end_text=no_end[0],
        yes_no=read_vocabulary(common, "yes_no", ("TRUE", "FALSE")),
        subject_kinds=read_enum(common, "subject_kind", SubjectKind, "SUBJECT_KIND_").with_aliases(
            added.take("subject_kind")
        ),
        credit=_credit(credit_file, added, tables),
        penalty=_penalty(national, penalty_file, added),
        forms=load_forms(regional, added),
        domain=tables,
    )
    for file in (common, national, side_file, credit_file, penalty_file):
        file.end()
    added.end()
    return side


def _credit(file: Row, added: Overlay, tables: Tables) -> CreditTables:
    columns, aliases = read_columns(file)
    aliases |= {heading_key(text): field for text, field in added.take("heading.credit")}
    rules: dict[str, SchemeRule] = {}
    names: list[tuple[str, str]] = []
    for scheme in tables.schemes.by_id.values():
        names += [(scheme.scheme_id, scheme.scheme_id), (scheme.name, scheme.scheme_id)]
    for row in file.rows("scheme"):
        rule = SchemeRule(
            scheme_id=row.one_of("id", tables.schemes.by_id),
            first_year=row.whole("first_year"),
            last_year=row.whole("last_year"),
            score_kind=row.text("score_kind"),
        )
        names += [(text, rule.scheme_id) for text in row.texts("aliases")]
        row.end()
        rules[rule.scheme_id] = rule
    vetoes = Vocabulary(
        values={text_key(name): code for code, name in tables.schemes.veto_names.items()}
        | {code: code for code in tables.schemes.veto_names},
        texts=tables.schemes.veto_names,
    ).merged(read_vocabulary(file, "veto", tables.schemes.veto_names))
    return CreditTables(
        layout=Layout(name=CREDIT, aliases=aliases, marks=frozenset(aliases), columns=tuple(columns)),
        sharing=read_sharing(file),
        levels=read_enum(file, "level", CreditLevel, "CREDIT_LEVEL_").with_aliases(added.take("level")),
        colours=read_enum(file, "colour", CreditLevel, "CREDIT_LEVEL_").with_aliases(added.take("colour")),
        not_evaluated=read_enum(file, "not_evaluated", NotEvaluatedReason, "NOT_EVALUATED_REASON_").with_aliases(
            added.take("not_evaluated")
        ),
        states=read_enum(file, "state", CreditState, "CREDIT_STATE_").with_aliases(added.take("state")),
        vetoes=Vocabulary(values=vetoes.values, texts=tables.schemes.veto_names).with_aliases(added.take("veto")),
        schemes=Vocabulary(values={}, texts={}).with_aliases([*names, *added.take("scheme")]),
        scheme_rules=rules,
        default_state=CreditState.Value(f"CREDIT_STATE_{file.text('default_state')}"),
        edition=file.text("edition"),
    )


def _penalty(national: Row, file: Row, added: Overlay) -> PenaltyTables:
    by_layout: dict[str, dict[str, str]] = {CURRENT: {}, OLD: {}}
    by_code: dict[str, Column] = {}
    for row in national.rows("column"):
        field, code, heading = row.text("field"), row.text("code"), row.text("heading")
        by_code[code] = Column(field=field, heading=heading)
        keys = [heading_key(text) for text in (code, heading, *row.texts("aliases"))]
        layouts = row.texts("layouts")
        row.end()
        for layout in layouts:
            for key in keys:
                if by_layout[layout].setdefault(key, field) != field:
                    raise row.wrong("aliases", f"{key} names two fields of {layout}")
    marks = {
        CURRENT: frozenset(by_layout[CURRENT]) - frozenset(by_layout[OLD]),
        OLD: frozenset(by_layout[OLD]) - frozenset(by_layout[CURRENT]),
    }
    extra, aliases = read_columns(file)
    aliases |= {heading_key(text): field for text, field in added.take("heading.penalty")}
    by_codes = file.flag("headings_are_codes", default=False)
    written: list[Column] = []
    for code in file.texts("written"):
        if code not in by_code:
            raise file.wrong("written", f"{code} is no field of the national layout")
        known = by_code[code]
        written.append(replace(known, heading=code if by_codes else known.heading))
    measures = file.row("measures")
    catalogue = (measures.text("catalogue"), measures.text("edition"))
    measures.end()
    own_types = read_enum(file, "penalty_type", PenaltyType, "PENALTY_TYPE_")
    own_orders = read_vocabulary(file, "order")
    file.text("edition")
    return PenaltyTables(
        layouts=tuple(
            Layout(
                name=name,
                # What a side adds counts for both editions, and never tells them apart.
                aliases={**aliases, **by_layout[name]},
                marks=marks[name] - frozenset(aliases),
                columns=(*written, *extra) if name == CURRENT else (),
            )
            for name in (CURRENT, OLD)
        ),
        sharing=read_sharing(file),
        types=read_enum(national, "penalty_type", PenaltyType, "PENALTY_TYPE_")
        .merged(own_types)
        .with_aliases(added.take("penalty_type")),
        orders=read_vocabulary(national, "order").merged(own_orders).with_aliases(added.take("order")),
        states=read_enum(national, "state", PenaltyState, "PENALTY_STATE_").with_aliases(added.take("penalty_state")),
        classes=read_enum(national, "dishonesty_class", DishonestyClass, "DISHONESTY_CLASS_").with_aliases(
            added.take("dishonesty_class")
        ),
        notice_kinds=read_enum(national, "notice_kind", NoticeKind, "NOTICE_KIND_").with_aliases(
            added.take("notice_kind")
        ),
        measures=catalogue,
        personal_words=tuple(map(heading_key, national.texts("personal_words"))),
        edition=national.text("edition"),
    )

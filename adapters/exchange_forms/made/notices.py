"""Sample rows of repairs, revocations, list entries and feedback, in a side's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.making import SOLE_TRADER, Value, made_uscc
from exchange_forms.made.parts import firm, person, record_id, word
from exchange_forms.made.sampling import Case
from exchange_forms.sides.side import Side

EFFECTS: Final = ("STOP_PUBLISH", "STOP_SHARE", "LIFT_MEASURES")


def repair_cases(side: Side) -> list[Case]:
    """Which notice, which effects, whom."""
    kind = Kind.KIND_REPAIR_NOTICE

    def base(number: int, **values: Value) -> Mapping[str, Value]:
        return {
            **firm(side, number),
            "notice": record_id(number),
            "document_no": f"演示环修〔2026〕{number}号",
            "issued_on": "2026-02-20",
            "approver": "分管局长",
            "repair_rule": "国家发展改革委令第58号",
            "effects": word(side, kind, "effects", *EFFECTS),
            "due_by": "2026-02-25",
            **values,
        }

    return [
        Case(base(300)),
        Case(base(301, notice=f"{side.side}/{record_id(301)}", ground="期限届满，已履行义务并作出信用承诺")),
        Case(base(302, notice=f"{side.side}/{record_id(302)}/2", issued_on="2026年2月20日", due_by="2026.2.25")),
        Case(base(303, effects="停止共享和使用、解除惩戒、终止公示")),
        Case(base(304, effects="终止公示；停止共享；从轻处理"), "WORD_UNMAPPED"),
        Case(base(305, notice="演示环罚〔2025〕305号"), "RECORD_REF_INVALID"),
        Case(base(306, notice=f"{side.side}:{record_id(306)}"), "RECORD_REF_INVALID"),
        Case(base(307, due_by="三个工作日内"), "DATE_FORMAT"),
        Case(base(308, document_no=20260308), "CELL_NUMERIC_CODE"),
        Case(base(309, county="不存在的区"), "AREA_UNMAPPED"),
        Case({**base(310), **person(side, 310), "ground": "李演示已改正"}),
        Case(base(311, uscc=made_uscc(side.name, 311, SOLE_TRADER), subject_kind="个体工商户")),
        Case(base(312, authority_uscc=None, authority_name="演示不知名机关"), "AUTHORITY_UNMAPPED"),
    ]


def revocation_cases(side: Side) -> list[Case]:
    """By which way, since when, on what basis."""
    kind = Kind.KIND_REVOCATION_NOTICE

    def base(number: int, **values: Value) -> Mapping[str, Value]:
        return {
            **firm(side, number),
            "notice": record_id(number),
            "document_no": f"演示府复〔2026〕{number}号",
            "issued_on": "2026-02-20",
            "ground": word(side, kind, "ground", "RECONSIDERATION"),
            "decided_by": "演示市人民政府",
            "legal_basis": "行政复议法 第六十四条",
            "retroactive": "是",
            "effects": word(side, kind, "effects", *EFFECTS),
            "due_by": "2026-02-25",
            **values,
        }

    return [
        Case(base(320)),
        Case(base(321, ground=word(side, kind, "ground", "LITIGATION"), decided_by="演示人民法院", retroactive="否")),
        Case(base(322, ground=word(side, kind, "ground", "SELF_CORRECTION"), decided_by=None)),
        Case(base(323, ground=word(side, kind, "ground", "SUPERVISION"), legal_basis="行政处罚法 第七十五条；条例")),
        Case(base(324, ground="协商"), "WORD_UNMAPPED"),
        Case(base(325, retroactive=None), "FIELD_MISSING"),
        Case(base(326, retroactive="视情况"), "YES_NO_UNMAPPED"),
        Case(base(327, notice="原处罚"), "RECORD_REF_INVALID"),
        Case(base(328, effects="全部"), "WORD_UNMAPPED"),
    ]


_WHITE: Final = "演示危险废物跨省市转移白名单"
_INCENTIVE: Final = "《企业环境信用评价结果应用措施》（2013）I5 危险废物跨省市转移直接审批"


def list_cases(side: Side, year: int) -> list[Case]:
    """Red, black and white; several rows of one entry; how an entry left its list.

    Args:
        side: Whose lists.
        year: The year before the entries: they hold from its successor's December on for a year and a half.
    """
    kind = Kind.KIND_LIST_ENTRY
    entered, left = f"{year + 1}-12-15", f"{year + 1}-12-25"

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **firm(side, number),
            "list_kind": word(side, kind, "list_kind", "WHITE"),
            "list_id": _WHITE,
            "list_edition": str(year + 1),
            "entered_on": entered,
            "valid_until": f"{year + 3}-06-30",
            "entry_reason": "持证经营且上年度无违法",
            "legal_basis": "演示合作协议 第三条",
            "state": word(side, kind, "state", "ENTERED"),
            **values,
        }

    def row(number: int, **values: Value) -> dict[str, Value]:
        """A further row of an entry: what joins it, and its own cells."""
        entry = base(number)
        return {**{column: entry[column] for column in ("uscc", "list_id", "entered_on")}, **values}

    def black(number: int, **values: Value) -> dict[str, Value]:
        return base(
            number,
            list_kind=word(side, kind, "list_kind", "BLACK_SERIOUS"),
            list_id="演示生态环境领域严重失信主体名单",
            entry_reason="构成环境犯罪",
            **values,
        )

    hw08: dict[str, Value] = {
        "waste_category": "HW08", "waste_code": "900-249-08", "treatment": "R9", "tonnes_per_year": "1200.5",
    }  # fmt: skip
    hw49: dict[str, Value] = {"waste_category": "HW49", "treatment": "R5"}
    exited = word(side, kind, "state", "EXITED")
    return [
        Case(base(340, **hw08)),
        Case(base(341, **hw08), more=[row(341, **hw49), row(341, waste_category="hw12", waste_code="900-252-12")]),
        Case(
            base(342, measure=_INCENTIVE, measure_basis="演示合作协议 第三条", **hw08),
            more=[row(342, measure="《企业环境信用评价结果应用措施》（2013）I4", measure_basis="演示办法；演示细则")],
        ),
        Case(
            black(343, measure="A1 限制市场或行业准入", measure_basis="国办发〔2020〕49号", valid_until="长期"),
            more=[
                {
                    "uscc": made_uscc(side.name, 343),
                    "list_id": "演示生态环境领域严重失信主体名单",
                    "entered_on": entered,
                    "measure": "C2",
                }
            ],
        ),
        Case(base(344, list_kind="黑名单"), "WORD_UNMAPPED"),
        Case(base(345, measure="B1 从严审查行政许可申请（警示）"), "MEASURE_UNMAPPED"),
        Case(base(346, measure="《某某目录》（2026）B1"), "MEASURE_UNMAPPED"),
        Case(base(347, state=exited, exit_reason=word(side, kind, "exit_reason", "EXPIRED"), exited_on=left)),
        Case(base(348, state=exited, exit_reason="其他", exited_on=left), "WORD_UNMAPPED"),
        Case(base(349, tonnes_per_year="约1200吨", waste_category="HW08"), "DECIMAL_FORMAT"),
        Case(base(350, **hw08), "ROWS_DIFFER", more=[row(350, valid_until=f"{year + 3}-12-31", **hw49)]),
        Case(base(351, derived_from=f"sc/{record_id(351)}")),
        Case(base(352, derived_from=record_id(352)), "RECORD_REF_INVALID"),
    ]


def feedback_cases(side: Side) -> list[Case]:
    """One matter, several measures; results and their reasons."""
    kind = Kind.KIND_MEASURE_FEEDBACK

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **firm(side, number),
            "notice": f"sc/{record_id(number)}",
            "matter_kind": word(side, kind, "matter_kind", "FUNDS"),
            "matter_no": f"演示资〔2026〕{number}号",
            "measure": "B1 限制申请财政性资金项目",
            "result": word(side, kind, "result", "IMPLEMENTED"),
            "done_in": f"演示环资〔2026〕{number}号",
            "acted_on": "2026-02-20",
            "officer_ref": "0117",
            **values,
        }

    def row(number: int, **values: Value) -> dict[str, Value]:
        return {"notice": f"sc/{record_id(number)}", "matter_no": f"演示资〔2026〕{number}号", **values}

    refused = word(side, kind, "result", "NOT_IMPLEMENTED")
    return [
        Case(base(360)),
        Case(
            base(361),
            more=[
                row(361, measure="B2", result=refused, reason="本事项不涉及评先评优"),
                row(
                    361,
                    measure="C1",
                    result=word(side, kind, "result", "NOT_APPLICABLE"),
                    reason="不属于行政机关职责",
                ),
            ],
        ),
        Case(
            base(
                362,
                measure="《全国失信惩戒措施基础清单》（2022）B3",
                check_id=record_id(362),
                notice=f"cq/{record_id(362)}/1",
            )
        ),
        Case(base(363, measure="限制贷款"), "MEASURE_UNMAPPED"),
        Case(base(364, result="部分落实"), "WORD_UNMAPPED"),
        Case(base(365, matter_kind="其他事项"), "WORD_UNMAPPED"),
        Case(base(366, notice=record_id(366)), "RECORD_REF_INVALID"),
        Case(base(367, officer_ref=117), "CELL_NUMERIC_CODE"),
        Case(
            base(368), "ROWS_DIFFER", more=[row(368, measure="B2", result=refused, reason="无", acted_on="2026-02-21")]
        ),
        Case({**base(369), **person(side, 369)}),
    ]

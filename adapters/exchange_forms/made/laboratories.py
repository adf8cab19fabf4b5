"""Sample rows of laboratories: scope by days, suspensions that may lie in the past, and numbers that are none."""

from __future__ import annotations

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.making import Value
from exchange_forms.made.parts import firm, joined, record_id, word
from exchange_forms.made.sampling import Case
from exchange_forms.sides.side import Side


def lab_cases(side: Side) -> list[Case]:
    """One line of scope and several, listed, suspended and removed; what each cell may not say."""
    kind = Kind.KIND_LAB_QUALIFICATION

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **firm(side, number),
            "name": f"演示{number}环境监测有限公司",
            "cma_no": f"250012050{number}",
            "issuing_body": "演示市场监督管理局",
            "first_issued_on": "2019-03-01",
            "valid_from": "2025-03-01",
            "valid_until": "2031-02-28",
            "roster": f"{side.title}社会环境监测机构名录",
            "roster_no": f"YS-{number}",
            "state": word(side, kind, "state", "LISTED"),
            "state_since": "2025-03-05",
            "legal_basis": "生态环境监测条例",
            **line("化学需氧量", "w01018", "HJ 828-2017"),
            **values,
        }

    def line(parameter: str, factor: str | None, method: str, **values: Value) -> dict[str, Value]:
        return {
            "scope_object": "水和废水",
            "scope_parameter": parameter,
            "scope_factor": factor,
            "scope_method": method,
            "scope_from": "2025-03-01",
            **values,
        }

    suspended: dict[str, Value] = {
        "state": word(side, kind, "state", "SUSPENDED"),
        "state_since": "2026-01-20",
        "suspended_from": "2025-11-01",
        "suspension_ground": "原始记录与报告不一致",
        "suspension_document_no": "演示环监〔2026〕7号",
        "suspension_notice": f"{side.side}/{record_id(9402)}",
    }
    cases = [
        Case(base(400)),
        Case(
            base(401, document_no="演示环监〔2025〕3号", issued_on="2025-03-05", approver="分管局长"),
            more=[
                line("氨氮", "w21003", "HJ 535-2009", scope_limitation="不测海水"),
                line("烷基汞", None, "GB/T 14204-1993", scope_from="2025-06-01", scope_until="2026-05-31"),
            ],
        ),
        Case(
            base(402, **suspended),
            more=[
                {
                    **line("氨氮", "w21003", "HJ 535-2009"),
                    "suspended_from": "2025年5月6日",
                    "suspended_until": "2025年6月5日",
                    "suspension_ground": "关键岗位人员变更未备案",
                }
            ],
        ),
        Case(
            base(
                403,
                state=word(side, kind, "state", "REMOVED"),
                state_since="2026-02-01",
                removal_ground="资质证书被注销",
            )
        ),
        Case(
            base(
                404, credit_scheme="机构信用评价办法（演示）", credit_level="A", credit_risk="低风险", filing_no="YB-1"
            )
        ),
        Case(base(405, cma_no=250012050405), "CELL_NUMERIC_CODE"),
        Case(base(406, cma_no="渝质监认字第406号"), "CMA_NO_FORMAT"),
        Case(base(407, scope_factor="w99999"), "FACTOR_UNMAPPED"),
        Case(base(408, scope_factor="化学需氧量"), "FACTOR_UNMAPPED"),
        Case(base(409, state="整改中"), "WORD_UNMAPPED"),
        Case(base(410, **{**suspended, "suspended_from": "去年11月"}), "DATE_FORMAT"),
        Case(base(411, **{**suspended, "suspension_notice": "演示环罚〔2026〕7号"}), "RECORD_REF_INVALID"),
        Case(base(412), "ROWS_DIFFER", more=[line("氨氮", "w21003", "HJ 535-2009", valid_until="2030-02-28")]),
        Case(base(413), "FACTOR_UNMAPPED", more=[line("氨氮", "011", "HJ 535-2009")]),
        Case(base(414, county="不存在的区"), "AREA_UNMAPPED"),
    ]
    return [joined(case, ("cma_no", "uscc")) for case in cases]

"""Sample rows of what one side asks of the other: corrections, case referrals, inspection tasks."""

from __future__ import annotations

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.generate import authority_of
from exchange_forms.made.making import Value, made_firm, made_uscc
from exchange_forms.made.parts import firm, person, record_id, word
from exchange_forms.made.sampling import Case
from exchange_forms.sides.side import Side


def correction_cases(side: Side) -> list[Case]:
    """Doubted fields by name, by path, or all of the record; several rows under one number."""
    kind = Kind.KIND_CORRECTION_REQUEST
    forms = side.forms[kind].words["field"].texts
    uscc, name = authority_of(side)
    where: dict[str, Value] = (
        {"county": "渝北区"} if side.name == "chongqing" else {"city": "成都市", "county": "锦江区"}
    )

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **where,
            "authority_name": name,
            "authority_uscc": uscc,
            "record": f"sc/{record_id(number)}/1",
            "requester": word(side, kind, "requester", "AGENCY"),
            "field": forms["credit_result.score"],
            "proposed": "95",
            "reason": "与公示文本不一致",
            "requested_on": "2026-02-20",
            "due_by": "2026-03-15",
            "state": word(side, kind, "state", "REQUESTED"),
            **values,
        }

    return [
        Case(base(380)),
        Case(
            base(381),
            more=[
                {"field": forms["credit_result.shared_level"], "reason": "等级与得分不符"},
                {"field": "credit_result.veto_reasons[0].source_text", "proposed": "未批先建", "reason": "笔误"},
            ],
        ),
        Case(
            base(
                382,
                field=None,
                proposed=None,
                reason="该企业已注销",
                requester="信用主体" if side.name == "sichuan" else "企业本身",
            )
        ),
        Case(base(383, field="总体印象"), "WORD_UNMAPPED"),
        Case(base(384, requester="群众"), "WORD_UNMAPPED"),
        Case(base(385, record="2024年度评价结果"), "RECORD_REF_INVALID"),
        Case(base(386, state=word(side, kind, "state", "SETTLED"), own_id=record_id(9386))),
        Case(base(387, own_id=f"other/{record_id(9387)}"), "RECORD_REF_INVALID"),
        Case(base(388), "ROWS_DIFFER", more=[{"reason": "另一理由", "requested_on": "2026-02-21"}]),
    ]


def referral_cases(side: Side) -> list[Case]:
    """What is asked for, of whom, with which materials."""
    kind = Kind.KIND_CASE_REFERRAL

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **firm(side, number),
            "case_no": f"演示环案移〔2026〕{number}号",
            "referral_kind": word(side, kind, "referral_kind", "TRANSFER"),
            "facts": "演示数据：跨界倾倒一般工业固体废物。",
            "legal_basis": "固体废物污染环境防治法 第一百零二条",
            "referred_on": "2026-02-20",
            "due_by": "2026-03-20",
            "state": word(side, kind, "state", "REFERRED"),
            **values,
        }

    return [
        Case(base(400)),
        Case(
            base(401, materials="现场检查笔录；照片\n监测报告", related=f"cq/{record_id(401)}；sc/{record_id(402)}/2")
        ),
        Case(
            base(403, addressee_name="演示市生态环境局", referral_kind=word(side, kind, "referral_kind", "ASSISTANCE"))
        ),
        Case(base(404, referral_kind=word(side, kind, "referral_kind", "NOTIFICATION"), due_by=None)),
        Case(base(405, state=word(side, kind, "state", "CLOSED"), closing_ground="对方已立案")),
        Case(base(406, referral_kind="催办"), "WORD_UNMAPPED"),
        Case(base(407, related="见附件"), "RECORD_REF_INVALID"),
        Case(base(408, addressee_uscc=made_uscc(side.name, 408)[:17] + "?", addressee_name="演示局")),
        Case({**base(409), **person(side, 409), "facts": "演示数据：李演示驾车倾倒废液。"}),
        Case(base(410, state="转办中"), "WORD_UNMAPPED"),
        Case(base(411, case_no=20260411), "CELL_NUMERIC_CODE"),
    ]


def inspection_cases(side: Side) -> list[Case]:
    """A task of several firms; how they are drawn, and with whom."""
    kind = Kind.KIND_INSPECTION_TASK
    uscc, name = authority_of(side)
    chongqing = side.name == "chongqing"
    where: dict[str, Value] = (
        {"task_county": "江津区"} if chongqing else {"task_city": "泸州市", "task_county": "江阳区"}
    )
    place: dict[str, Value] = {"county": "江津区"} if chongqing else {"city": "泸州市", "county": "江阳区"}

    def target(number: int, **values: Value) -> dict[str, Value]:
        return {"name": made_firm(number), "uscc": made_uscc(side.name, number), **place, "chosen_by": "黄牌", **values}

    def base(number: int, **values: Value) -> dict[str, Value]:
        return {
            **where,
            "authority_name": name,
            "authority_uscc": uscc,
            "task_no": f"演示联检〔2026〕{number}号",
            "mode": word(side, kind, "mode", "RANDOM"),
            "topic": "涉水排污单位联合检查",
            "planned_from": "2026-03-10",
            "planned_until": "2026-03-20",
            "sampling_rule": "红牌100%，黄牌50%，其他5%",
            "state": word(side, kind, "state", "PLANNED"),
            **target(number),
            **values,
        }

    def row(number: int, at: int, **values: Value) -> dict[str, Value]:
        return {"task_no": f"演示联检〔2026〕{number}号", **target(at, **values)}

    return [
        Case(base(420)),
        Case(
            base(421),
            more=[row(421, 422, chosen_by="随机"), row(421, 423, permit_code=made_uscc(side.name, 423) + "001P")],
        ),
        Case(
            base(424, participants=f"演示市生态环境局（{uscc}）；演示区生态环境局", request="请派员参加"),
            more=[row(424, 425, finding="未发现问题")],
        ),
        Case(base(426, mode=word(side, kind, "mode", "JOINT"), sampling_rule=None)),
        Case(base(427, mode="四不两直"), "WORD_UNMAPPED"),
        Case(base(428), "AREA_UNMAPPED", more=[row(428, 429, county="不存在的县")]),
        Case(base(430), "ROWS_DIFFER", more=[{**row(430, 431), "topic": "涉气排污单位检查"}]),
        Case(base(432, planned_from="下月"), "DATE_FORMAT"),
        Case(
            base(433, state=word(side, kind, "state", "COMPLETED"), conclusion="发现问题一项", finding="台账不全"),
            more=[row(433, 434, uscc=made_uscc(side.name, 434).lower())],
        ),
    ]

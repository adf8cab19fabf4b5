"""Sample rows of reports of environmental emergencies, all drills: each kind of event with what it alone has."""

from __future__ import annotations

from exchange.v1.kind_pb2 import Kind
from exchange_forms.made.generate import authority_of
from exchange_forms.made.making import Value
from exchange_forms.made.parts import joined, word
from exchange_forms.made.sampling import Case
from exchange_forms.sides.side import Side

KIND = Kind.KIND_ALERT


def alert_cases(side: Side) -> list[Case]:
    """First, following and last reports of the three kinds of event; what no cell may say."""
    cases = [*_water(side), *_gas(side), *_wastewater(side), *_faults(side)]
    return [joined(case, ("event_id", "sequence")) for case in cases]


def _base(side: Side, number: int, **values: Value) -> dict[str, Value]:
    uscc, name = authority_of(side)
    chongqing = side.name == "chongqing"
    return {
        **({"county": "江津区"} if chongqing else {"city": "成都市", "county": "锦江区"}),
        "authority_name": name,
        "authority_uscc": uscc,
        "event_id": f"{side.side.upper()}-20260226-{number}",
        "sequence": "1",
        "report_kind": word(side, KIND, "report_kind", "INITIAL"),
        "is_exercise": "是",
        "alert_kind": word(side, KIND, "alert_kind", "WATER_POLLUTION"),
        "level": word(side, KIND, "level", "NOT_DETERMINED"),
        "occurred_at": "2026-02-26 07:40",
        "learned_at": "2026-02-26 08:00",
        "reported_at": "2026-02-26 08:30:15",
        "place": "演示河演示大桥下游200米",
        "reporting_unit_name": "演示区生态环境局",
        "contact_desk": "演示市应急值班室",
        **values,
    }


def _water(side: Side) -> list[Case]:
    follow_up = {"report_kind": word(side, KIND, "report_kind", "FOLLOW_UP"), "sequence": "2"}
    return [
        Case(_base(side, 450, water_river="演示河")),
        Case(
            _base(
                side,
                451,
                water_river="演示河",
                water_section="演示断面",
                water_expected_at="2026年2月27日2时",
                water_flow="38.5",
                water_velocity="0.6",
                water_stretch="4",
                longitude="106.26",
                latitude="29.29",
                colour=word(side, KIND, "colour", "YELLOW"),
                level=word(side, KIND, "level", "GENERAL"),
                plan="YS-YHYCYT-01",
                plan_version="2025.2",
                casualties="无人员伤亡",
                pollutant="苯",
                cas_no="71-43-2",
                pollutant_amount="2",
                pollutant_unit="吨",
                reading_place="演示断面",
                reading_factor="w01018",
                reading_value="38",
                reading_unit="毫克/升",
                sampled_at="2026-02-26 08:10",
                point_kind=word(side, KIND, "point_kind", "WATER_INTAKE"),
                point="演示水厂取水口",
                point_area="500116",
                point_distance="12.5",
                point_expected_at="2026-02-27 06:00",
            ),
            more=[
                {
                    "pollutant": "柴油",
                    "pollutant_amount": "300",
                    "pollutant_unit": "kg",
                    "reading_place": "演示断面",
                    "reading_factor": "w21003",
                    "reading_value": "0.8",
                    "reading_unit": "mg/L",
                    "sampled_at": "2026-02-26T08:10:30",
                },
                {
                    "reading_place": "演示大桥",
                    "reading_factor": "w01001",
                    "reading_value": "6.9",
                    "reading_unit": "无量纲",
                    "sampled_at": "2026/2/26 9:05",
                },
            ],
        ),
        Case(_base(side, 450, **follow_up, water_river="演示河", trend="浓度下降", measures_taken="已投放吸油毡")),
        Case(
            _base(
                side,
                450,
                sequence=3,
                report_kind=word(side, KIND, "report_kind", "FINAL"),
                level=word(side, KIND, "level", "GENERAL"),
                water_river="演示河",
                cause="演示：运输车辆侧翻",
                measures_taken="演示：污染物已全部收集",
            )
        ),
    ]


def _gas(side: Side) -> list[Case]:
    kind = {"alert_kind": word(side, KIND, "alert_kind", "TOXIC_GAS"), "place": "演示化工园区北门"}
    ring = word(side, KIND, "gas_ring", "PLANT_BOUNDARY")
    return [
        Case(
            _base(
                side,
                455,
                **kind,
                gas_park="演示园区",
                gas_ring=ring,
                gas_threshold="YS-Cl2-2",
                gas_averaging="5",
                wind_direction="315",
                wind_speed="2.4",
            )
        ),
        Case(
            _base(side, 456, **kind, gas_park="演示园区", gas_ring=ring, water_river="演示河"), "COLUMN_OF_OTHER_EVENT"
        ),
        Case(_base(side, 457, **kind, gas_park="演示园区", gas_ring="厂外"), "WORD_UNMAPPED"),
        Case(_base(side, 458, **kind, gas_park="演示园区", gas_ring=ring, gas_averaging="2.5"), "DECIMAL_FORMAT"),
    ]


def _wastewater(side: Side) -> list[Case]:
    kind = {"alert_kind": word(side, KIND, "alert_kind", "ACCIDENT_WASTEWATER")}
    held = {
        "defence_level": word(side, KIND, "defence_level", "PARK"),
        "gate_state": word(side, KIND, "gate_state", "CLOSED"),
    }
    return [
        Case(_base(side, 460, **kind, **held, pool_volume="5000", pool_used="1200.5", receiving_river="演示河")),
        Case(_base(side, 461, **kind, **held, wind_speed="3"), "COLUMN_OF_OTHER_EVENT"),
    ]


def _faults(side: Side) -> list[Case]:
    river: dict[str, Value] = {"water_river": "演示河"}
    return [
        Case(_base(side, 470, **river, learned_at="2026-02-26"), "INSTANT_FORMAT"),
        Case(_base(side, 471, **river, learned_at="今早8点"), "INSTANT_FORMAT"),
        Case(_base(side, 472, **river, is_exercise=None), "FIELD_MISSING"),
        Case(_base(side, 473, **river, is_exercise="可能"), "YES_NO_UNMAPPED"),
        Case(_base(side, 474, **river, level="五级"), "WORD_UNMAPPED"),
        Case(_base(side, 475, **river, sequence="第一次"), "DECIMAL_FORMAT"),
        Case(_base(side, 476, **river, pollutant="苯", pollutant_amount="2", pollutant_unit="桶"), "UNIT_UNMAPPED"),
        Case(_base(side, 477, **river, longitude="东经106度"), "DECIMAL_FORMAT"),
        Case(_base(side, 478, **river, point="演示小学", point_kind="幼儿园"), "WORD_UNMAPPED"),
        Case(_base(side, 479, **river, alert_kind="地震"), "WORD_UNMAPPED"),
        Case(_base(side, 480, **river), "ROWS_DIFFER", more=[{"pollutant": "苯", "level": "Ⅰ级"}]),
    ]

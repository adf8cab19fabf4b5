"""Looking through very many for few: a call ends, says where it stopped, and the next one goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.flows.queries.exchanged import records as record_queries
from exchange.v1 import record_service_pb2
from tests.rpc.conftest import two_doors
from tests.rpc.facts import credit_of, firm, submit, wait_settled


def test_a_rare_record_is_found_by_walking_short_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stretches of three rows, pages are short or empty, and every record of the area comes exactly once."""
    monkeypatch.setattr(record_queries, "STRETCH", 3)
    monkeypatch.setattr(record_queries, "STRETCHES", 2)
    with two_doors(tmp_path) as doors:
        cq = doors["cq"].agency("rare")
        wanted = []
        for number in range(20):
            area = "500108" if number in (1, 2, 15) else "500107"
            sent = submit(cq, credit_of(firm(500 + number), area=area), f"rare-{number}")
            if area == "500108":
                wanted.append(sent.record_id)
        wait_settled(doors["cq"])
        found: list[str] = []
        token, calls = "", 0
        while True:
            request = record_service_pb2.ListRecordsRequest(area="500108", page_size=2, page_token=token)
            answer = cq.call(cq.record.ListRecords, request)
            found += [view.ref.record_id for view in answer.records]
            token, calls = answer.next_page_token, calls + 1
            if not token:
                break
        assert found == list(reversed(wanted))
        assert calls > 3

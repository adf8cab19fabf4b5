"""Time stamps on checkpoints: checked by openssl, kept over an outage with its gap, never by a stranger's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.timestamps import TimestampRefused, timestamp_request, verify_timestamp
from exchange.crypto.x509.certificates import Role
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.timestamping import TimestampLoop
from exchange.rpc.time_service import HttpTimeService, TimeServiceAway
from exchange.v1.audit_service_pb2 import ListTimestampsRequest, ListTimestampsResponse
from tests.cli.conftest import run
from tests.rigs.tsa import TimeAuthority
from tests.rpc.doors import AgencyDoor, client_issued, identity_root
from tests.rpc.facts import credit_of, firm, submit, wait_settled

LOG = "cq.exchange.example/to/sc/registry/1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeAuthority]:
    """One authority for all tests."""
    made = TimeAuthority(tmp_path_factory.mktemp("tsa") / "authority")
    yield made
    made.away()


def test_a_token_holds_for_its_bytes_and_authority_alone(authority: TimeAuthority, tmp_path: Path) -> None:
    """Other bytes, another root, another nonce, a changed token, none at all: each is refused."""
    data = b"a note"
    asked = timestamp_request(data)
    token = HttpTimeService(authority.url).ask(asked.der)
    held = verify_timestamp(token, data, authority.root, nonce=asked.nonce)
    assert held.signer == "CN=demo authority tsa"
    assert held.policy == "1.2.3.4.1"
    assert held.at.tzinfo is not None
    stranger = TimeAuthority(tmp_path / "stranger")
    stranger.away()
    flipped = bytearray(token)
    flipped[-20] ^= 1
    cases: list[tuple[bytes, bytes, bytes, int | None]] = [
        (token, b"another", authority.root, None),
        (token, data, stranger.root, None),
        (token, data, authority.root, asked.nonce + 1),
        (bytes(flipped), data, authority.root, None),
        (b"\x30\x03\x02\x01\x00", data, authority.root, None),
        (b"", data, authority.root, None),
        (token * 100, data, authority.root, None),
    ]
    for response, about, roots, nonce in cases:
        with pytest.raises(TimestampRefused):
            verify_timestamp(response, about, roots, nonce=nonce)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/none", "https://127.0.0.1:9/none"])
def test_a_service_that_does_not_answer_is_away(url: str) -> None:
    """No connection is an answer of its own, and never another error."""
    with pytest.raises(TimeServiceAway):
        HttpTimeService(url).ask(b"x")


def _listed(door: AgencyDoor, origin: str = "") -> ListTimestampsResponse:
    stubs = door.officer(Role.AUDITOR)
    answer: ListTimestampsResponse = stubs.call(stubs.audit.ListTimestamps, ListTimestampsRequest(origin=origin))
    return answer


def test_an_outage_is_an_alarm_and_its_gap_is_closed_and_shown(
    doors: dict[str, AgencyDoor], authority: TimeAuthority, tmp_path: Path
) -> None:
    """The exchange goes on without the service; one token closes the gap, and says since when it was open."""
    cq = doors["cq"]
    agency, bell, clock = cq.agency("stamped"), cq.runtime.bell, cq.node.clock
    loop = TimestampLoop(cq.node, HttpTimeService(authority.url), lambda: authority.root, 60, bell.raise_, bell.clear)
    submit(agency, credit_of(firm(980)), "stamped-1")
    wait_settled(cq)
    assert loop.once(clock()) >= 4
    (first,) = _listed(cq, LOG).timestamps

    def check_by_openssl(stamp: Any) -> None:
        (authority.folder / "note").write_bytes(stamp.note)
        (authority.folder / "token").write_bytes(stamp.token)
        told = authority.openssl("ts", "-verify", "-data", "note", "-in", "token", "-CAfile", "root.pem")
        assert b"OK" in told

    check_by_openssl(first)
    assert first.note.split(b"\n")[:2] == [LOG.encode(), str(first.size).encode()]

    submit(agency, credit_of(firm(981)), "stamped-2")
    wait_settled(cq)
    loop.once(clock())
    assert [each.size for each in _listed(cq, LOG).timestamps] == [first.size], "not due within the interval"
    authority.away()
    assert loop.once(clock() + timedelta(seconds=61)) == 0
    assert "TIMESTAMPS_AWAY" in bell.codes()
    (waits,) = _listed(cq, LOG).waiting
    assert waits.size > first.size
    submit(agency, credit_of(firm(982)), "stamped-3")
    wait_settled(cq)

    authority.open()
    authority.broken = b"\x30\x03\x02\x01\x00"
    assert loop.once(clock() + timedelta(seconds=62)) == 0
    assert "TIMESTAMP_REFUSED" in bell.open["TIMESTAMPS_AWAY", authority.url]
    authority.broken = None
    assert loop.once(clock() + timedelta(seconds=63)) >= 1
    assert "TIMESTAMPS_AWAY" not in bell.codes()
    answer = _listed(cq, LOG)
    assert not answer.waiting
    second = answer.timestamps[-1]
    assert second.size > first.size
    assert second.since == waits.since, "the gap begins where the first entry without a token was cosigned"
    check_by_openssl(second)

    issued = client_issued("cq", Role.AUDITOR, "officer")
    (tmp_path / "ca.pem").write_bytes(identity_root().root_pem)
    (tmp_path / "me.pem").write_bytes(issued.chain + issued.key)
    profile = tmp_path / "profile.toml"
    text = f'address = "127.0.0.1:{cq.server.port}"\nca = "ca.pem"\ncert = "me.pem"\nkey = "me.pem"\n'
    profile.write_text(text, "utf-8")
    done = run("audit", "timestamps", LOG, "-o", str(tmp_path / "out"), "--profile", str(profile))
    assert done.status == 0
    assert authority.url in done.out
    assert (tmp_path / "out" / f"{second.size}.tsr").read_bytes() == second.token
    assert (tmp_path / "out" / f"{second.size}.note").read_bytes() == second.note
    assert run("audit", "timestamps", "--json", "--profile", str(profile)).json["timestamps"]

    folder = tmp_path / "folder"
    for _run in range(2):
        export = Export(cq.node.database, "cq", "exchange.example", folder, Scope())
        export.write(export.plan(), clock())
        stamps = folder / "logs" / LOG / "timestamps"
        assert {path.name: path.read_bytes() for path in stamps.iterdir()} == {
            f"{each.size}.{form}": content
            for each in answer.timestamps
            for form, content in (("note", each.note), ("tsr", each.token))
        }
    assert f"logs/{LOG}/timestamps/{second.size}.tsr\t" in (folder / "MANIFEST").read_text("utf-8")
    trusted = tmp_path / "roots.pem"
    trusted.write_bytes(authority.root)
    checking = ("audit", "timestamps", "--folder", str(folder), "--roots", str(trusted), "--json")
    checked = run(*checking)
    assert (checked.status, checked.json["findings"]) == (0, [])
    assert {(LOG, first.size), (LOG, second.size)} <= {(e["log"], e["size"]) for e in checked.json["timestamps"]}
    whole_folder = run("audit", "verify", str(folder), "--tsa-roots", str(trusted), "--jobs", "1", "--json").json
    (stamped,) = (each["stamped"] for each in whole_folder["logs"] if each["origin"] == LOG)
    assert (stamped["size"], stamped["by"]) == (second.size, "CN=demo authority tsa")
    token = stamps / f"{second.size}.tsr"
    for path, at in ((token, -20), (stamps / f"{second.size}.note", 60), (stamps / f"{first.size}.note", -5)):
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        failed = run(*checking)
        assert failed.status == 1
        assert [each["file"].rpartition("/")[2] for each in failed.json["findings"]] == [f"{path.stem}.tsr"]
        path.write_bytes(whole)
    token.unlink()
    assert [each["text"] for each in run(*checking).json["findings"]] == ["a note without a token"]
    assert run("audit", "timestamps", "--folder", str(folder)).status == 2

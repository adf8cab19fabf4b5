"""No line of a node's log holds a secret, and no file of its own is open to others."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from exchange.rpc.failure import CallFailed
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.v1.common_pb2 import Authority
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitDocumentRequest, SubmitRecordRequest
from tests.domain import records
from tests.processes import laws
from tests.rigs.pair import AUTHORITIES, NodeFolder, Pair, running_pair
from tests.test_walk import of_region

SAMPLES = Path(__file__).parents[2] / "adapters"
DOCUMENTS = {
    "cq": ("exchange_chongqing/samples/penalties-2016.csv", "exchange_hj212/samples/edition-2017.txt"),
    "sc": ("exchange_sichuan/samples/penalties-2016.csv", "exchange_hj212/samples/field-recording.log"),
}
"""Documents with an id number, names of natural persons and passwords of stations in them."""

SHOP = "演示丁某某小吃店"
"""Name of an individual business, as stands behind a code that begins with 92."""

ID_NUMBER = "50990119900101001X"
"""Stands in both samples of penalties."""


def walk(node: NodeFolder) -> None:
    """Every kind, accepted and refused, typed and as documents."""
    shop = records.credit()
    shop.credit_result.subject.uscc = records.make_uscc(77, prefix="92500000")
    shop.credit_result.subject.name = SHOP
    leaky = records.credit()
    leaky.header.purpose = f"核查 {ID_NUMBER}"
    typed = [shop, leaky, records.credit(), records.penalty(), records.monitoring(), records.joint_measure()]
    with node.client() as client:
        for number, record in enumerate(typed):
            submission = RecordSubmission(idempotency_key=f"walk-{number}", record=of_region(record, node.name))
            attempt(client, client.submissions.SubmitRecord, SubmitRecordRequest(submission=submission))
        for place in DOCUMENTS[node.name]:
            document = SubmitDocumentRequest(
                idempotency_key=place,
                file_name=Path(place).name,
                content=(SAMPLES / place).read_bytes(),
                purpose="互认",
                authority=Authority(uscc=AUTHORITIES[node.name], name="演示生态环境局"),
            )
            attempt(client, client.submissions.SubmitDocument, document)
        attempt(client, client.submissions.SubmitRecord, SubmitRecordRequest())
    with node.client("auditor") as client:
        attempt(client, client.submissions.SubmitRecord, SubmitRecordRequest())


def attempt(client: object, method: object, request: object) -> None:
    """A call that may be refused: what matters is what is logged of it."""
    try:
        client.call(method, request, timeout=60)  # type: ignore[attr-defined]
    except CallFailed:
        return


def spellings(secret: bytes) -> Iterator[str]:
    """How bytes could stand in a line of text."""
    yield secret.hex()
    yield base64.b64encode(secret).decode().rstrip("=")
    yield base64.urlsafe_b64encode(secret).decode().rstrip("=")
    yield str(secret)[2:-1]


def secrets(pair: Pair) -> dict[str, str]:
    """Everything that no line may hold, with its name."""
    found = {ID_NUMBER: "id number", SHOP: "name of an individual business", "PRIVATE KEY": "private key"}
    found |= dict.fromkeys(("YS2026", "PW="), "password of a station")
    for name, node in pair.nodes.items():
        for path in [*(node.folder / "keys").iterdir(), *(node.folder / "callers").glob("*.key")]:
            text = path.read_text("ascii")
            private = text.split("-----END")[0]
            found |= {
                line: f"{name} {path.name}" for line in private.splitlines() if len(line) >= 32 and " " not in line
            }
        database = Database(laws.url_of(pair, name))
        try:
            with database.read() as connection:
                salts = connection.execute(select(schema.entries.c.salt).where(schema.entries.c.salt.is_not(None)))
                for salt in salts.scalars():
                    found |= dict.fromkeys(spellings(salt), f"{name} salt")
        finally:
            database.dispose()
    return found


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two nodes that log everything, behind a whole walk, at rest."""
    with running_pair(tmp_path_factory.mktemp("secrets"), settings='\n[log]\nlevel = "debug"\n') as pair:
        for node in pair.nodes.values():
            walk(node)
        laws.wait_at_rest(pair)
        pair.stop()
        yield pair


def test_no_line_of_the_log_holds_a_secret(walked: Pair) -> None:
    """At DEBUG, over a walk with refusals and quarantine: no key, password, id number, person's name or salt."""
    wanted = secrets(walked)
    assert len(wanted) > 50, "the walk left nothing to look for"
    for name, process in walked.processes.items():
        lines = process.text.splitlines()
        assert any("node.started" in line for line in lines), name
        told = [f"{name}: {wanted[secret]}: {line}" for line in lines for secret in wanted if secret in line]
        assert told == []


def test_the_nodes_own_files_are_its_accounts_alone(walked: Pair) -> None:
    """Data and keys: files 0600, folders 0700, whatever the administrator's umask was."""
    for node in walked.nodes.values():
        for root in (node.folder / "data", node.folder / "keys"):
            open_ones = [
                f"{path} {stat.filemode(path.stat().st_mode)}"
                for path in (root, *root.rglob("*"))
                if path.stat().st_mode & 0o077
            ]
            assert open_ones == []

"""The floor of `make bench`: what one record costs where nothing is done but what can not be left out.

Each part is measured bare, in one process: raw sqlite3 with the real tables, one gRPC message with an empty handler,
one signature, one verification. The sum is what both nodes together can not go below; two cores can not do more
than two seconds of processor time a second.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import grpc
import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import create_engine

from exchange.crypto.dsse import PAYLOAD_TYPE, Signer, make_envelope, pae
from exchange.crypto.keys import KeyFile
from exchange.crypto.sealing import commit
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509.certificates import load_der
from exchange.rpc.profile import Profile
from exchange.storage import schema
from exchange.v1.kind_pb2 import Kind
from exchange.v1.statement_pb2 import LogEntry, Statement
from tests.domain.records import make_uscc
from tools.bench_load import BATCH, registry_template

_ECDSA = ec.ECDSA(hashes.SHA256())
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY", "cache_size=-65536")
_REPLY = b"c" * 512
"""About what a checkpoint with a cosignature takes."""

_COLUMNS = tuple(column.name for column in schema.records.columns)

_WINDOW = 8
"""Messages under way, as in the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the floor.

    Attributes:
        name: For people.
        cpu_us: Processor time of a record in microseconds, user and system, all threads.
        wall_us: Real time of a record: shows a slow disk, which takes no processor time.
    """

    name: str
    cpu_us: float
    wall_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A sealed record as it is stored and sent."""

    statement: bytes
    entry: bytes
    salt: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of it on the wire."""
        return len(self.entry) + len(self.salt) + len(self.body)


def measure(folder: Path, keys: Path, caller: Profile, *, records: int, body_bytes: int) -> tuple[Part, ...]:
    """Measure every part.

    Args:
        folder: Where the databases go: on the disk that the nodes use.
        keys: A node's key folder: its TLS and signing keys serve.
        caller: A client that this node's roots let in.
        records: Records per part; signatures are measured on 1,000 at most.
        body_bytes: Size of a record's body.
    """
    signer = read_signer((keys / "sign-p256.pem").read_bytes())
    specimen = make_specimen(signer, body_bytes)
    batches = max(4, records // BATCH)
    append, register = _store(folder, specimen, batches)
    return (
        *_signatures(keys, signer, specimen, min(records, 1_000)),
        append,
        _frames(keys, caller, specimen, batches),
        register,
    )


def make_specimen(signer: Signer, body_bytes: int) -> Specimen:
    """One record, sealed as a node seals it."""
    body = registry_template(body_bytes).SerializeToString()
    salt = os.urandom(32)
    statement = Statement(
        federation="exchange.example",
        origin="cq",
        addressees=["sc"],
        record_id="019573a0-6c00-7000-8000-0000000000aa",
        revision=1,
        kind=Kind.KIND_PENALTY_NOTICE,
        body_size=len(body),
        commitments=[commit(salt, body)],
    )
    statement.stated_at.FromDatetime(datetime.now(UTC))
    payload = statement.SerializeToString()
    entry = LogEntry(version=1, envelope=make_envelope(payload, [signer]).SerializeToString(), submission_tag=bytes(64))
    entry.logged_at.FromDatetime(datetime.now(UTC))
    return Specimen(statement=payload, entry=entry.SerializeToString(), salt=salt, body=body)


def _timed(name: str, records: int, work: Callable[[], object]) -> Part:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Part(name=name, cpu_us=cpu / records * 1e6, wall_us=wall / records * 1e6)


def _signatures(keys: Path, signer: Signer, specimen: Specimen, count: int) -> tuple[Part, Part]:
    private = KeyFile.parse((keys / "sign-p256.pem").read_bytes()).load()
    public = load_der(signer.chain[0]).public_key()
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    message = pae(PAYLOAD_TYPE, specimen.statement)
    made: list[bytes] = []
    sign = _timed("sign (P-256)", count, lambda: made.extend(private.sign(message, _ECDSA) for _ in range(count)))

    def verify() -> None:
        for each in made:
            public.verify(each, message, _ECDSA)

    return sign, _timed("verify once (P-256)", count, verify)


class _Side:
    """One side's database: the real tables and indexes, nothing but sqlite3 in between."""

    def __init__(self, file: Path) -> None:
        engine = create_engine(f"sqlite:///{file}")
        schema.metadata.create_all(engine, tables=[schema.entries, schema.records])
        engine.dispose()
        self.connection = sqlite3.connect(file, isolation_level=None)
        for pragma in _PRAGMAS:
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        columns = _COLUMNS
        self.insert_row = f"INSERT INTO reg_records ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our names
        self.insert_entry = "INSERT INTO entries (log_id, idx, entry, salt, body, submission) VALUES (1, ?, ?, ?, ?, ?)"


def _store(folder: Path, specimen: Specimen, batches: int) -> tuple[Part, Part]:
    """Append with fsync, and register rows, in the same transactions as a node would."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = [_Side(folder / f"floor-{name}.db") for name in ("ours", "theirs")]
    records = batches * BATCH
    wall, cpu = {"append": 0.0, "register": 0.0}, {"append": 0.0, "register": 0.0}
    clock = (time.perf_counter(), time.process_time())

    def spent(on: str) -> None:
        nonlocal clock
        now = (time.perf_counter(), time.process_time())
        if on:
            wall[on] += now[0] - clock[0]
            cpu[on] += now[1] - clock[1]
        clock = (time.perf_counter(), time.process_time())

    chance = random.Random(1)  # noqa: S311 - the same rows each time
    for batch in range(batches):
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        entries = [(number, specimen.entry, specimen.salt, specimen.body, number) for number in numbers]
        rows = [_register_row(number, chance) for number in numbers]
        for side in sides:
            spent("")
            side.connection.execute("BEGIN IMMEDIATE")
            side.connection.executemany(side.insert_entry, entries)
            spent("append")
            side.connection.executemany(side.insert_row, rows)
            spent("register")
            side.connection.execute("COMMIT")
            spent("append")
    for side in sides:
        side.connection.close()
    append, register = (
        Part(name=name, cpu_us=cpu[on] / records * 1e6, wall_us=wall[on] / records * 1e6)
        for on, name in (("append", "append + fsync, both sides"), ("register", "one register row, both sides"))
    )
    return append, register


def _register_row(number: int, chance: random.Random) -> tuple[object, ...]:
    values: dict[str, object] = {
        "seq": number,
        "origin": "cq",
        # Time-ordered, as UUIDv7 is.
        "record_id": number.to_bytes(8, "big") + chance.randbytes(8),
        "revision": 1,
        "kind": int(Kind.KIND_PENALTY_NOTICE),
        "log_id": 1,
        "idx": number,
        "commitment": bytes(32),
        "logged_at": 1_767_225_600_000_000 + number,
        "mirrored_at": 1_767_225_600_000_000 + number,
        "natural_key": f"演环罚〔2025〕{number:08d}号",
        "supersedes": None,
        "subject": make_uscc(number // 2 % 1_000_000),
        "area": "500107",
        "authority": "11500000MB1614741U",
        "decision": '{"reasons":[],"conditions":[],"rule_edition":"2026-1"}',
        "newest": 1,
    }
    texts = {"sort_on", "tombstone", "tombstone_on"}
    return tuple(values.get(name, "" if name in texts else 0) for name in _COLUMNS)


def _frames(keys: Path, caller: Profile, specimen: Specimen, batches: int) -> Part:
    """One gRPC message per batch over mTLS, client and server in this process, the handler empty."""
    file = KeyFile.parse((keys / "tls.pem").read_bytes())
    server_credentials = grpc.ssl_server_credentials(
        [(file.key, file.chain)],
        root_certificates=caller.ca.read_bytes(),
        require_client_auth=True,
    )
    client_credentials = grpc.ssl_channel_credentials(
        caller.ca.read_bytes(), caller.key.read_bytes(), caller.cert.read_bytes()
    )
    frame = specimen.size * BATCH * b"f"

    async def answer(_request: bytes, _context: object) -> bytes:
        return _REPLY

    async def run() -> Part:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Frame": grpc.unary_unary_rpc_method_handler(answer)
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("floor.Floor", handlers)])
        port = server.add_secure_port("127.0.0.1:0", server_credentials)
        await server.start()
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", client_credentials) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/floor.Floor/Frame")
            await call(frame)
            left = iter(range(batches))

            async def work() -> None:
                for _ in left:
                    await call(frame)

            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(work() for _ in range(_WINDOW)))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        await server.stop(None)
        records = batches * BATCH
        return Part(
            name=f"one frame per {BATCH} records, mTLS", cpu_us=cpu / records * 1e6, wall_us=wall / records * 1e6
        )

    return uvloop.run(run())

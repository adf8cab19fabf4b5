"""What a node can be told, as frozen values: every default, its unit and its reason stand here and nowhere else.

A field's metadata is a :class:`Setting`. A field without default must be written in the node file.
"""

from __future__ import annotations

# ruff: noqa: RUF009  (_key makes a dataclass field, once, as field() does)
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from exchange.settings.passphrase import PassphraseSource
from exchange.settings.token_uri import TokenUri

KIB = 1024
MIB = 1024 * KIB
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  every caller shows a certificate


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What the reader needs to know of one key.

    Attributes:
        unit: Unit of a number; empty where it has none.
        why: Why the default is what it is, one sentence.
        low: Least value allowed.
        high: Greatest value allowed.
        choices: The closed list of a text or of each text of a list.
        form: Name of the check in ``exchange.settings.forms`` that a text must pass.
    """

    unit: str = ""
    why: str = ""
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    form: str = ""


def _key(
    default: Any = MISSING,
    *,
    unit: str = "",
    why: str = "",
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    form: str = "",
) -> Any:
    setting = Setting(unit=unit, why=why, low=low, high=high, choices=choices, form=form)
    if default is MISSING:
        return field(metadata={"setting": setting})
    return field(default=default, metadata={"setting": setting})


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen or dial.

    Attributes:
        host: Name or address; an IPv6 address without brackets.
        port: 0 to 65535; 0 lets the system choose, for tests.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySource:
    """Where a key lies.

    Attributes:
        scheme: ``file``, or ``pkcs11`` for a signing key in a token.
        path: Absolute path of the key file; of the certificates, where the key lies in a token.
        token: The key in its token; None for a file.
    """

    scheme: str
    path: Path
    token: TokenUri | None = None

    def __str__(self) -> str:
        if self.token is None:
            return f"{self.scheme}:{self.path}"
        return f"pkcs11:token={self.token.token};object={self.token.label} with {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorityName:
    """The authority that runs the node."""

    uscc: str = _key(form="uscc")
    name: str = _key()


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """Who this node is."""

    name: str = _key(form="node")
    domain: str = _key(form="domain")
    authority: AuthorityName = _key()
    data: Path = _key()
    areas: tuple[str, ...] = _key(
        (), form="area", why="competence shown on the peers card; empty means that no authority of this node may state"
    )
    lang: str = _key("zh-CN", form="lang", why="officers read Chinese unless told otherwise")
    duty_desk: str = _key("", why="post and telephone number shown on the peers card; nobody is named")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """Where the node listens."""

    agencies: Address = _key(Address(host=ANY_ADDRESS, port=8443), why="agencies, operators and auditors")
    peers: Address = _key(Address(host=ANY_ADDRESS, port=9443), why="a port of its own, so that a firewall can tell")
    metrics: Address = _key(Address(host="127.0.0.1", port=9464), form="loopback", why="metrics have no access control")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseSettings:
    """Where the node keeps what it knows."""

    url: str = _key("sqlite:///exchange.db", form="database", why="embedded; relative to node.data")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustSettings:
    """Whom the node trusts."""

    folder: Path = _key(Path("trust"), why="beside the node file")
    look_s: int = _key(
        2, unit="s", low=1, high=3_600, why="a changed set is noticed by its manifest; a dozen stat calls"
    )
    crl: str = _key(
        "grace",
        choices=("fail-closed", "grace"),
        why="a late list is an alarm first; fail-closed refuses calls at once when a list is past its next update",
    )
    crl_grace_h: int = _key(
        168, unit="h", low=1, high=2_160, why="a week for the authority to be asked, beyond a list's own weeks"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """Private keys: one file for each use, never shared."""

    passphrase: PassphraseSource | None = _key(
        None, why="where the passphrase of the key files comes from; without it they are not encrypted"
    )
    tls: KeySource = _key(KeySource(scheme="file", path=Path("keys/tls.pem")), why="beside the node file")
    tls_client: KeySource | None = _key(None, why="by what peers are dialled; without it by that of the server")
    signing: tuple[KeySource, ...] = _key(
        (KeySource(scheme="file", path=Path("keys/sign-p256.pem")),), form="signer", why="beside the node file"
    )
    log: KeySource = _key(KeySource(scheme="file", path=Path("keys/log.seed")), why="beside the node file")
    mirror_second: KeySource | None = _key(None, why="ML-DSA-44: a second line in each receipt, by choice")
    witness_second: KeySource | None = _key(None, why="ML-DSA-44: a second line under each journal head, by choice")
    mirror: KeySource = _key(KeySource(scheme="file", path=Path("keys/mirror.pem")), why="beside the node file")
    witness: KeySource = _key(KeySource(scheme="file", path=Path("keys/witness.pem")), why="beside the node file")


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerLink:
    """A peer as the node file names it; whom to trust there is in the trust folder."""

    name: str = _key(form="node")
    transport: str = _key(
        "push",
        choices=("push", "pull", "folder"),
        why="both sides dial; pull where only one may: with dial this one, without it the other; folder where none may",
    )
    dial: Address | None = _key(None, why="where the peer listens; absent with pull when it dials us, and with folder")
    folder: Path | None = _key(None, why="with transport folder: where out/ and in/ are; the courier's")
    require: tuple[str, ...] = _key(
        ("ES256",), choices=("ES256", "SM2"), why="the one signature that every node makes; SM2 beside it where agreed"
    )

    @property
    def reaches_by(self) -> str:
        """How calls reach it: ``push``, ``pull`` (we dial and fetch as well), ``pulled`` (it dials us), ``folder``."""
        return "pulled" if self.transport == "pull" and self.dial is None else self.transport


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a caller may ask for."""

    message_bytes: int = _key(
        4 * MIB + 256 * KIB,
        unit="byte",
        low=64 * KIB,
        high=16 * MIB,
        why="4 MiB of records or entries, and the fields around them",
    )
    batch_items: int = _key(
        1_000, unit="record", low=1, high=1_000, why="a batch is one transaction, which all others wait for"
    )
    batch_bytes: int = _key(4 * MIB, unit="byte", low=1 * MIB, high=4 * MIB, why="what one call may cost in memory")
    document_bytes: int = _key(
        3 * MIB, unit="byte", low=64 * KIB, high=3 * MIB, why="a document fits one message; bigger files are cut"
    )
    document_rows: int = _key(20_000, unit="row", low=1, high=100_000, why="answers to 3 MiB of rows fit one message")
    calls_per_caller: int = _key(
        64, unit="call", low=1, high=1_024, why="saturates one node from one client; more only queues"
    )
    watchers_per_caller: int = _key(8, unit="stream", low=1, high=64, why="a stream for each system of an agency")
    calls: int = _key(
        128, unit="call", low=8, high=4_096, why="over all callers: each may hold a message of 4 MiB in memory"
    )
    records_per_minute: int = _key(
        600_000, unit="record", low=1, high=10_000_000, why="for each caller without a quota: twice what a node takes"
    )
    calls_per_minute: int = _key(
        120_000, unit="call", low=60, high=10_000_000, why="for each caller: more than one connection can carry"
    )
    watchers: int = _key(256, unit="stream", low=1, high=4_096, why="each costs a cursor and a query per change")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connections:
    """When connections to both ports are ended, so that their clients come back and meet what is shown now."""

    max_age_s: int = _key(
        3_600, unit="s", low=1, high=86_400, why="an old certificate is met by nobody an hour after it was replaced"
    )
    grace_s: int = _key(60, unit="s", low=1, high=3_600, why="calls in flight finish; streams go on by their cursor")
    ready_s: int = _key(
        20, unit="s", low=1, high=300, why="how long a new connection to a peer may take before the old one is kept"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How entries travel to a peer."""

    batch_entries: int = _key(
        256, unit="entry", low=1, high=4_096, why="first bound of a call; 4,096 is the protocol's"
    )
    batch_bytes: int = _key(
        3 * MIB, unit="byte", low=64 * KIB, high=4 * MIB, why="leaves room below the 4 MiB accepted"
    )
    gather_ms: int = _key(
        25, unit="ms", low=0, high=1_000, why="records that come one by one share a call; the urgent lane never waits"
    )
    retry_min_ms: int = _key(50, unit="ms", low=50, high=10_000, why="a blip costs nothing and nothing loops busily")
    retry_max_ms: int = _key(30_000, unit="ms", low=50, high=600_000, why="how late a silent peer's return may be seen")
    call_timeout_s: int = _key(30, unit="s", low=1, high=300, why="a half-open connection is given up after this")
    confirm_interval_s: int = _key(60, unit="s", low=1, high=3_600, why="an idle lane shows that it is complete")


@dataclass(frozen=True, kw_only=True, slots=True)
class CourierSettings:
    """How files travel to peers with transport folder."""

    look_s: int = _key(2, unit="s", low=1, high=600, why="a look costs a listing of in/ and out/")
    again_s: int = _key(
        600, unit="s", low=1, high=604_800, why="what was taken away and has no answer by then is put out again"
    )
    overdue_h: int = _key(26, unit="h", low=1, high=1_440, why="a courier who comes every day, and is late")
    settle_s: int = _key(60, unit="s", low=1, high=3_600, why="a slow copy grows again within it")
    gather_s: int = _key(5, unit="s", low=0, high=3_600, why="records that come one by one share a file")
    window: int = _key(16, unit="file", low=1, high=64, why="deliveries of a lane under way at once; each up to 4 MiB")
    confirm_interval_s: int = _key(3_600, unit="s", low=60, high=86_400, why="an idle lane shows that it is complete")


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalSettings:
    """How often peers witness the journal and the local log."""

    witness_interval_s: int = _key(
        10, unit="s", low=1, high=60, why="the longest stretch that could be rewritten unseen"
    )
    witness_limit_s: int = _key(
        180, unit="s", low=5, high=3_600, why="alarm when entries wait longer for a witness; a peer restarts in less"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamps:
    """A time-stamping authority (RFC 3161) for checkpoints; without url there are no time stamps."""

    url: str | None = _key(None, form="http_url", why="none: whose word for the time counts is the region's choice")
    roots: Path | None = _key(None, why="PEM of the authorities whose tokens are believed; needed with url")
    interval_s: int = _key(
        3_600, unit="s", low=10, high=86_400, why="how closely a third party bounds when a log's head was there"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognition:
    """Recognition rules."""

    require_approvals: bool = _key(
        default=True, why="a rule that lacks one region's approval recognises under a condition only"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealing:
    """What a statement carries beside what it must."""

    sm3: bool = _key(default=False, why="a second commitment to the body, by SM3, where 国密 is asked for")


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshnessSettings:
    """When knowledge of a peer counts as stale."""

    stale_after_s: int = _key(
        900, unit="s", low=1, high=86_400, why="a quarter of an hour, the shortest reporting cycle"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How far the clocks of two nodes may be apart."""

    skew_limit_s: int = _key(
        10, unit="s", low=1, high=300, why="far below the 5 minutes after which times are unproven"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """Free space below which classes of submissions are refused; delivery goes on."""

    telemetry_below: int = _key(2_048 * MIB, unit="byte", low=0, why="refused first: a station sends again")
    registry_below: int = _key(1_024 * MIB, unit="byte", low=0, why="a day of documents still fits")
    urgent_below: int = _key(256 * MIB, unit="byte", low=0, why="refused last: warnings and what delivery writes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarms:
    """Who is told when an alarm opens or clears."""

    command: tuple[str, ...] = _key(
        (), why="program and arguments, run without a shell; the alarm is JSON on its input"
    )
    command_timeout_s: int = _key(10, unit="s", low=1, high=300, why="a hanging command must not hold the next alarm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """When the end of a certificate becomes an alarm."""

    warn_days: int = _key(30, unit="day", low=1, high=365, why="time for a government certificate office to answer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """Which documents the node reads."""

    side: str = _key("", form="adapter", why="adapter tried first; empty means that the document decides")
    tables: Path | None = _key(None, why="folder of the administrator's own tables, which win over the adapter's")


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """How the node logs."""

    format: str = _key("json", choices=("json", "console"), why="one object a line, for machines")
    level: str = _key("info", choices=("debug", "info", "warning", "error"), why="one line per batch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shutdown:
    """How the node stops."""

    drain_s: int = _key(20, unit="s", low=0, high=600, why="calls in flight finish; shorter than systemd's 90 s")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSettings:
    """Everything a node was told, checked, with absolute paths.

    Attributes:
        file: The node file.
        places: Line of each key that the node file sets, by key path; all other keys have their default.
    """

    file: Path
    places: Mapping[str, int]
    node: Node
    peers: tuple[PeerLink, ...]
    listen: Listen
    database: DatabaseSettings
    trust: TrustSettings
    keys: Keys
    limits: Limits
    connections: Connections
    delivery: Delivery
    courier: CourierSettings
    journal: JournalSettings
    timestamps: Timestamps
    recognition: Recognition
    sealing: Sealing
    freshness: FreshnessSettings
    clock: Clock
    disk: Disk
    alarms: Alarms
    certificates: Certificates
    adapters: Adapters
    log: Log
    shutdown: Shutdown

    @property
    def federation(self) -> str:
        """The domain that all nodes of the federation share."""
        return self.node.domain

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.database.url.startswith("sqlite:")

    def peer(self, name: str) -> PeerLink | None:
        """The peer of that name, if the node file has it."""
        return next((peer for peer in self.peers if peer.name == name), None)

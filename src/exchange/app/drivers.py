"""Drivers of the keys whose files this node names: which of them it has follows from the node file."""

from __future__ import annotations

from datetime import timedelta

from exchange.app.ports import PeerPorts
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.x509.chains import Purpose
from exchange.flows.certificates.ca_driver import CaDriver
from exchange.flows.certificates.leaf_driver import LeafDriver
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.certificates.tls import CLIENT, SERVER
from exchange.flows.certificates.told_roots import Strangers
from exchange.flows.context import Node
from exchange.flows.rotation.driver import KeyDriver
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import write_own
from exchange.storage.files.leaf_files import LeafFiles

AGE_SPREAD = 1.1
"""gRPC ends connections at their age, give or take a tenth."""


def tls_drivers(
    settings: NodeSettings, lock: KeyLock, node: Node, live: LiveFiles, seen: SeenFlow, ports: PeerPorts
) -> list[KeyDriver]:
    """Drivers of the TLS keys: one, or two where the node file names a key of its own for dialling."""
    strangers = Strangers(node, live.trust, seen, live.told)
    recycled = settings.connections.max_age_s * AGE_SPREAD + settings.connections.grace_s
    server = LeafDriver(
        SERVER,
        node,
        LeafFiles(settings.keys.tls.path, lock),
        live.tls,
        seen,
        strangers=lambda leaf: strangers.peers(leaf, Purpose.SERVER),
        callers=lambda new, old: strangers.callers(new, old, Purpose.SERVER),
        outdated=ports.outdated,
        overlap=timedelta(seconds=recycled),
    )
    authority = CaDriver(
        node,
        LeafFiles(settings.keys.tls.path.with_name("tls-ca.pem")),
        live.trust,
        lambda name, data: write_own(settings.trust.folder, name, data),
        live.tls,
        seen,
        live.told,
        overlap=timedelta(seconds=recycled),
    )
    if settings.keys.tls_client is None:
        return [server, authority]
    client = LeafDriver(
        CLIENT,
        node,
        LeafFiles(settings.keys.tls_client.path, lock),
        live.tls,
        seen,
        strangers=lambda leaf: strangers.peers(leaf, Purpose.CLIENT),
        outdated=ports.outdated,
    )
    return [server, client, authority]

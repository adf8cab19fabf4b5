"""Everything that one region needs for development, laid out as its node's folder.

ca/tls-root, ca/tls, ca/signing-root, ca/signing    authorities: ca.key, ca.pem
ca/signing-sm2-root, ca/signing-sm2                 where asked for: the same for SM2
keys/tls.pem, keys/sign-p256.pem, keys/sign-sm2.pem the node's own, key and chain
trust/own/tls-roots.pem, signing-roots.pem          whom the node trusts at home
clients/<role>-<name>.key|.pem|.toml                callers, each with a profile
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from exchange.cli.private_files import make_private_folder, refuse_existing, write_new
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.crypto.x509.pki_profile import KeyKind, Profile


def make_region(
    folder: Path,
    *,
    node: str,
    domain: str,
    address: str,
    hosts: Sequence[str],
    agencies: Sequence[str],
    profile: Profile,
    now: datetime,
    rsa: bool,
    sm2: bool = False,
) -> list[Path]:
    """Make one region's set.

    Args:
        folder: The node's folder.
        node: Name of the node.
        domain: Federation's domain.
        address: ``host:port`` of the node's agency port, for the profiles.
        hosts: Names and addresses of the server certificate.
        agencies: Names of agencies that get a client certificate.
        profile: Lifetimes and keys.
        now: Aware instant of issue.
        sm2: A signing certificate of SM2 beside that of EC, under a root of its own.
        rsa: Authorities and clients get RSA keys; server and signing keys stay EC.

    Returns:
        The files that were written.

    Raises:
        Refused: ``FILE_EXISTS``: nothing is ever written over.
        LibcryptoMissing: SM2 keys can not be made here.
    """
    kind = KeyKind.RSA_3072 if rsa else None
    refuse_existing(folder / "ca", folder / "keys" / "tls.pem", folder / "keys" / "sign-p256.pem", folder / "clients")
    written: list[Path] = []

    def write(path: Path, content: bytes, mode: int = 0o600) -> None:
        write_new(path, content, mode=mode)
        written.append(path)

    def authority(use: str, kind: KeyKind | None = kind) -> tuple[pki.Authority, pki.Authority]:
        root = pki.create_root(profile, f"{node} {use} root (development)", now=now, key=kind)
        issuing = pki.create_intermediate(profile, root, f"{node} {use} (development)", now=now, key=kind)
        for name, made in ((f"{use}-root", root), (use, issuing)):
            make_private_folder(folder / "ca" / name)
            write(folder / "ca" / name / "ca.key", made.key_pem)
            write(folder / "ca" / name / "ca.pem", made.chain_pem, 0o644)
        return root, issuing

    tls_root, tls = authority("tls")
    signings = [("sign-p256.pem", *authority("signing"))]
    if sm2:
        signings.append(("sign-sm2.pem", *authority("signing-sm2", KeyKind.SM2)))

    make_private_folder(folder / "keys")
    own = Identity(node=node, domain=domain, role=Role.NODE, name=node)
    write(folder / "keys" / "tls.pem", pki.issue_server(profile, tls, identity=own, hosts=hosts, now=now).bundle)
    for name, _, signing in signings:
        signer = pki.issue_signing(profile, signing, identity=own, organisation=f"{node} (development)", now=now)
        write(folder / "keys" / name, signer.bundle)

    trust = folder / "trust" / "own"
    trust.mkdir(parents=True, exist_ok=True)
    write(trust / "tls-roots.pem", tls_root.root_pem, 0o644)
    write(trust / "signing-roots.pem", b"".join(root.root_pem for _, root, _ in signings), 0o644)

    clients = folder / "clients"
    make_private_folder(clients)
    write(clients / "ca.pem", tls_root.root_pem, 0o644)
    callers = [(Role.AGENCY, name) for name in agencies]
    callers += [(role, role.value) for role in (Role.OPERATOR, Role.SECURITY, Role.AUDITOR)]
    for role, name in callers:
        identity = Identity(node=node, domain=domain, role=role, name=name)
        issued = pki.issue_client(profile, tls, identity=identity, now=now, key=kind)
        stem = f"{role.value}-{name}" if role is Role.AGENCY else role.value
        write(clients / f"{stem}.key", issued.key)
        write(clients / f"{stem}.pem", issued.chain, 0o644)
        write(clients / f"{stem}.toml", _profile(stem, address).encode(), 0o644)
    return written


def _profile(stem: str, address: str) -> str:
    values = {"address": address, "ca": "ca.pem", "cert": f"{stem}.pem", "key": f"{stem}.key"}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

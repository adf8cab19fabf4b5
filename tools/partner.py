"""The folder that a partner gets: all that a client in any language needs to call a node, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import exchange.v1
from exchange.rpc.profile import Profile

ADDRESS = "address"
ROOTS = "ca.pem"
CERTIFICATE = "cert.pem"
KEY = "key.pem"
SCHEMA = "exchange.binpb"

PKCS8_LABEL = b"PRIVATE KEY"
"""PEM label of an unencrypted PKCS#8 key (RFC 7468 §10); older forms name the algorithm before it."""


def write_partner(folder: Path, profile: Profile) -> None:
    """Write the folder; the key's file can be read by its owner only.

    Args:
        folder: Made where it is missing.
        profile: The agency that the partner calls as.

    Raises:
        ValueError: The key is not PKCS#8, the one form that every language's TLS reads.
    """
    key = profile.key.read_bytes()
    if not key.lstrip().startswith(b"-----BEGIN " + PKCS8_LABEL + b"-----"):
        raise ValueError(f"{profile.key} must be PKCS#8")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ADDRESS).write_text(profile.address + "\n", encoding="ascii")
    (folder / ROOTS).write_bytes(profile.ca.read_bytes())
    (folder / CERTIFICATE).write_bytes(profile.cert.read_bytes())
    (folder / KEY).touch(mode=0o600)
    (folder / KEY).write_bytes(key)
    (folder / SCHEMA).write_bytes(descriptor_set().SerializeToString(deterministic=True))


def generic_call(folder: Path, buf: str = "buf") -> list[str]:
    """One call with a generic tool: the newest submissions, by ``buf curl`` and what stands in the folder alone."""
    address = (folder / ADDRESS).read_text(encoding="ascii").strip()
    return [
        *(buf, "curl", "--protocol", "grpc", "--schema", str(folder / SCHEMA)),
        *("--cacert", str(folder / ROOTS), "--cert", str(folder / CERTIFICATE), "--key", str(folder / KEY)),
        *("--data", '{"page_size": 3}', f"https://{address}/exchange.v1.SubmissionService/ListSubmissions"),
    ]


def descriptor_set() -> FileDescriptorSet:
    """Every file of the schema with what it imports, each after its imports, as ``protoc --include_imports`` orders."""
    found: dict[str, FileDescriptorProto] = {}

    def add(descriptor: FileDescriptor) -> None:
        if descriptor.name not in found:
            for needed in descriptor.dependencies:
                add(needed)
            proto = FileDescriptorProto()
            descriptor.CopyToProto(proto)
            found[descriptor.name] = proto

    for module in pkgutil.iter_modules(exchange.v1.__path__):
        if module.name.endswith("_pb2"):
            add(importlib.import_module(f"exchange.v1.{module.name}").DESCRIPTOR)
    return FileDescriptorSet(file=found.values())

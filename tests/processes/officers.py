"""What security officers of both sides type while a key rotates: the command line, on running nodes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from tests.cli.conftest import Run, run
from tests.processes import laws
from tests.rigs.pair import DOMAIN, NodeFolder, Pair, certificate_profile

CONFIRMED_BY_OFFICERS = ("log", "mirror", "witness")
"""Keys that the peer's officer is asked about; signing is accepted by itself when it comes in turn."""


class Desk:
    """The security officer of one node at her terminal.

    Args:
        pair: The two nodes.
        name: Hers.
        folder: For what commands write.
    """

    def __init__(self, pair: Pair, name: str, folder: Path) -> None:
        self.node: NodeFolder = pair.nodes[name]
        self._folder = folder

    def types(self, *arguments: object) -> Run:
        """A command, with her certificate."""
        return run(*arguments, "--profile", self.node.profiles["security"], "--json")

    def rotate(self, key: str, *more: object) -> dict[str, Any]:
        """``certs rotate``: the next step, which may be taken or waits; never an error.

        The request of a signing key goes to the region's authority, whose answer is installed at once.
        """
        asked = self._folder / f"{key}.request.pem"
        done = self.types("certs", "rotate", key, "--reason", "yearly", "-o", asked, *more)
        assert done.status in (0, 1), done.err
        assert "rotation" in done.out, done.out
        view: dict[str, Any] = json.loads(done.out)
        if view["rotation"]["state"] == "ROTATION_STATE_REQUESTED" and key == "signing":
            made = self._folder / f"{key}.chain.pem"
            made.write_bytes(self.signing_certificate(asked.read_bytes()))
            installed = self.types("certs", "install", key, made)
            assert installed.status == 0, installed.err
            view = installed.json
        return view

    def signing_certificate(self, request: bytes) -> bytes:
        """What the region's authority issues."""
        identity = Identity(node=self.node.name, domain=DOMAIN, role=Role.NODE, name=self.node.name)
        authority = self.node.authorities["signing"]
        issued = pki.issue_signing(
            certificate_profile(),
            authority,
            identity=identity,
            organisation=self.node.name,
            now=datetime.now(UTC),
            request=request,
        )
        return issued.chain

    def find(self, key: str) -> dict[str, Any] | None:
        """The open rotation of a key."""
        found = self.types("certs", "status").json.get("open", [])
        return next((each for each in found if each["rotation"]["key"] == key), None)

    def until(self, key: str, state: str) -> dict[str, Any]:
        """The next step again and again, until the rotation stands at a state."""
        view: dict[str, Any] = {}

        def stands() -> bool:
            nonlocal view
            view = self.rotate(key)
            return str(view["rotation"]["state"]) == f"ROTATION_STATE_{state}"

        laws.wait(f"{key} is {state}", stands)
        return view

    def reads_aloud(self, key: str) -> str:
        """The fingerprint of the announced key, as her ``certs status`` shows it."""
        status = self.types("certs", "status").json
        (view,) = [each for each in status["open"] if each["rotation"]["key"] == key]
        (told,) = {each["fingerprint"] for each in view["confirmations"]}
        return str(told)

    def confirms(self, key: str, fingerprint: str) -> None:
        """``trust pending``, compare with what was read aloud, ``trust confirm``."""
        found: list[dict[str, Any]] = []

        def waits() -> bool:
            pending = self.types("trust", "pending").json.get("pending", [])
            found[:] = [each for each in pending if each["fingerprint"] == fingerprint]
            return bool(found)

        laws.wait(f"{key} waits for the officer", waits)
        done = self.types(
            "trust", "confirm", found[0]["id"], "--fingerprint", fingerprint, "--reason", "read aloud by their desk"
        )
        assert done.status == 0, done.err

    def card(self, addressee: str) -> Path:
        """``peers card``: what the other side is told, with every key that ever spoke."""
        path = self._folder / f"{self.node.name}.card"
        path.unlink(missing_ok=True)
        made = run("peers", "card", "--for", addressee, "-o", path, "--node", self.node.node_file, "--json")
        assert made.status == 0, made.err
        return path

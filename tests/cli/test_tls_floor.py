"""TLS 1.3 and nothing below, proved by a tool that is not ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.fake_node import FakeNode


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl-missing: no openssl command")
def test_a_server_with_an_ec_leaf_refuses_tls_1_2(node: FakeNode, regions: Path) -> None:
    """1.3 is agreed on, 1.2 finds no suite in common."""
    clients = regions / "cq" / "clients"

    def shake_hands(version: str) -> str:
        done = subprocess.run(
            [  # noqa: S607  (Debian's own)
                "openssl", "s_client", "-connect", f"127.0.0.1:{node.port}", version, "-alpn", "h2",
                "-CAfile", str(clients / "ca.pem"),
                "-cert", str(clients / "operator.pem"), "-key", str(clients / "operator.key"),
            ],
            input=b"",
            capture_output=True,
            check=False,
            timeout=30,
        )  # fmt: skip
        return (done.stdout + done.stderr).decode(errors="replace")

    assert "New, TLSv1.3, Cipher is TLS_" in shake_hands("-tls1_3")
    assert "New, (NONE), Cipher is (NONE)" in shake_hands("-tls1_2")

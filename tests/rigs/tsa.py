"""A time-stamping authority on this machine: the openssl command behind a small HTTP server."""

from __future__ import annotations

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

CONFIG = """
[tsa]
default_tsa = authority
[authority]
dir = {folder}
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[stamping]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[req]
distinguished_name = name
[name]
"""


class TimeAuthority:
    """Answers while it is open; goes away and comes back on the same port.

    Attributes:
        root: Its root certificate, PEM.
        broken: What it answers instead of a token, when set.
        asked: Requests that came.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl-missing")
        folder.mkdir(parents=True)
        self.folder = folder
        self.broken: bytes | None = None
        self.asked = 0
        (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder))
        self._make("root", "root", None)
        self._make("tsa", "stamping", "root")
        self.root = (folder / "root.pem").read_bytes()
        self._server: HTTPServer | None = None
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/tsa"

    def openssl(self, *arguments: str) -> bytes:
        """Run the command here."""
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=True)  # noqa: S607
        return done.stdout

    def _make(self, name: str, extensions: str, issuer: str | None) -> None:
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        by = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"] if issuer else []
        subject = ["-subj", f"/CN=demo {self.folder.name} {name}", "-days", "30", "-sha256"]
        form = ["-config", "openssl.cnf", "-extensions", extensions]
        self.openssl("req", "-x509", "-new", "-key", f"{name}.key", *subject, *form, *by, "-out", f"{name}.pem")

    def reply(self, query: bytes) -> bytes:
        """One answer."""
        (self.folder / "query").write_bytes(query)
        self.openssl("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def open(self) -> None:
        """Serve."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                authority.asked += 1
                query = self.rfile.read(int(self.headers["Content-Length"]))
                body = authority.broken if authority.broken is not None else authority.reply(query)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def away(self) -> None:
        """Stop serving; connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

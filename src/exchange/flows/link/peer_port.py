"""The peer as a port: six calls, and a closed set of errors. Requests and responses are the same bytes as files."""

from __future__ import annotations

from typing import Protocol

from exchange.domain.problems import ExchangeError
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchAttachmentRequest,
    FetchAttachmentResponse,
    FetchEntriesRequest,
    FetchEntriesResponse,
    GetTrustMaterialRequest,
    GetTrustMaterialResponse,
    HelloRequest,
    HelloResponse,
)


class PeerAwayError(ExchangeError):
    """The peer can not be reached, or asks for patience: the same call is made again later."""

    reason = "PEER_AWAY"

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class PeerRefusedError(ExchangeError):
    """The peer refused the call for what we are or sent; trying again alone does not help."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class PeerPort(Protocol):
    """One peer's RelayService. Every call raises only ``PeerAwayError`` and ``PeerRefusedError``."""

    async def hello(self, request: HelloRequest) -> HelloResponse:
        """Show where we stand."""
        ...

    async def deliver(self, request: DeliverRequest) -> DeliverResponse:
        """Bring entries."""
        ...

    async def fetch_entries(self, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """Fetch our own entries back."""
        ...

    async def fetch_attachment(self, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
        """Fetch a piece of an attachment."""
        ...

    async def cosign_journal(self, request: CosignJournalRequest) -> CosignJournalResponse:
        """Have our journal or local log witnessed."""
        ...

    async def trust_material(self, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """Exchange revocation lists."""
        ...

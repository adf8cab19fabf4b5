"""MonitoringService: stations and readings of both regions."""

from __future__ import annotations

from exchange.flows.queries.registers.monitoring import MonitoringQueries
from exchange.rpc.door import Call
from exchange.v1 import monitoring_service_pb2 as pb


class MonitoringServicer:
    """Answers MonitoringService."""

    descriptor = pb.DESCRIPTOR.services_by_name["MonitoringService"]

    def __init__(self, queries: MonitoringQueries) -> None:
        self._queries = queries

    async def list_stations(self, call: Call, request: pb.ListStationsRequest) -> pb.ListStationsResponse:
        """ListStations."""
        return await call.run(self._queries.stations, call.asked, request)

    async def list_readings(self, call: Call, request: pb.ListReadingsRequest) -> pb.ListReadingsResponse:
        """ListReadings."""
        return await call.run(self._queries.readings, call.asked, request)

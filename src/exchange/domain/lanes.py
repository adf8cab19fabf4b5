"""Lanes: what of one node's records goes to another one in one order; each is a log of its own (architecture §3)."""

from typing import Final

from exchange.v1.kind_pb2 import Lane

LANE_NAMES: Final[dict[int, str]] = {
    Lane.LANE_URGENT: "urgent",
    Lane.LANE_REGISTRY: "registry",
    Lane.LANE_TELEMETRY: "telemetry",
}
"""As they stand in the names of logs."""

LANE_NUMBERS: Final[dict[str, int]] = {name: lane for lane, name in LANE_NAMES.items()}

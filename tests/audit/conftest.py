"""Fixtures: two linked nodes with their agency ports, shared by a module."""

from __future__ import annotations

from tests.rpc.conftest import doors, fresh_doors

__all__ = ["doors", "fresh_doors"]

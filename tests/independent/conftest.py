"""Fixtures: exported folders behind rotations of every key and the loss of one."""

from __future__ import annotations

from tests.audit.conftest import rotated

__all__ = ["rotated"]

"""Fixtures of the flows: one running node on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.node import TestNode, running_node


@pytest.fixture
def running(migrated_url: str) -> Iterator[TestNode]:
    """A node that was just started for the first time."""
    with running_node(migrated_url) as node:
        yield node

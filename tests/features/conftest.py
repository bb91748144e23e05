"""Everything in this folder needs the servers of the local stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nomadflows.settings import Settings
from tests.world import World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("stack")


@pytest.fixture
def world(stack: Settings, tmp_path: Path) -> Iterator[World]:
    """A stack that a test may hurt; its controllers and flows end with the test."""
    found = World(stack, tmp_path)
    try:
        yield found
    finally:
        found.close()

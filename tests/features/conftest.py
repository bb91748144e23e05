"""Everything in this folder needs the servers of the local stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@pytest.fixture
def node_world_of(world: World) -> Callable[..., World]:
    """A controller with such settings, the Python probe and the Node probe; npm's work is done once a run."""

    def start(**variables: str) -> World:
        world.deploy()
        world.install("node_probe")
        world.start_controller(**variables)
        return world

    return start


@pytest.fixture
def node_world(node_world_of: Callable[..., World]) -> World:
    return node_world_of()

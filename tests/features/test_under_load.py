"""A small cut of `bench/faults.py`: what must hold in every change."""

from __future__ import annotations

import pytest

from bench.faults import Bench, Sizes
from tests.conftest import Servers
from tests.world import World

pytestmark = pytest.mark.stack

SIZES = Sizes(flows=4, rate=50, seconds=10, each=10, stopped_s=3)


def test_faults_under_load_lose_nothing(world: World, servers: Servers) -> None:
    # Given flows of both kinds under load
    bench = Bench(world, servers, SIZES)
    bench.start_flows()
    # When a step is killed everywhere, and the broker stands still for a while
    rows = [bench.row("step", "killed", "load"), bench.row("rabbitmq", "stopped", "load")]
    print(*rows, sep="\n")
    # Then all is processed, and every flow is where it should be
    assert sum(row.lost for row in rows) == 0
    # A step that dies between work and acknowledgement does its message again, and nothing else is done twice
    assert rows[0].doubled <= SIZES.flows
    assert rows[1].doubled == 0

"""Ticks on real servers, with the controller killed just before, at and just after one is due, and while it sends one."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nomadflows.controller.ticks import tick_ids
from nomadflows.model.names import VersionRef, input_key
from nomadflows.model.states import parse_timestamp
from tests.world import World, eventually

EVERY_S = 3

pytestmark = pytest.mark.slow


class Spy:
    """Which ticks of a flow came into its exchange: how often each, by the time at which it was due."""

    def __init__(self, world: World, version: VersionRef, trigger: str) -> None:
        self._world = world
        self._version = version
        self._queue = f"spy.{version.job_id}"
        self._found: Counter[str] = Counter()
        with world.channel() as channel:
            channel.queue_declare(self._queue)
            channel.queue_bind(self._queue, version.exchange, input_key(trigger))

    def ticks(self) -> Counter[datetime]:
        """Of the last and the next few minutes."""
        with self._world.channel() as channel:
            while (frame := channel.basic_get(self._queue, auto_ack=True))[0] is not None:
                self._found[frame[1].headers["messageId"]] += 1
        first = datetime.fromtimestamp(time.time() // 60 * 60, UTC) - timedelta(minutes=5)
        dues = (first + timedelta(seconds=second) for second in range(0, 420, EVERY_S))
        by_id = {tick_ids(self._version.ref, due)[0]: due for due in dues}
        return Counter({by_id[found]: count for found, count in self._found.items()})


def kill_around(process: subprocess.Popen[Any], spy: Spy, offset_s: float) -> None:
    """Kill the leader so long after a tick is due."""
    before = len(spy.ticks())
    eventually("the leader ticks", lambda: len(spy.ticks()) > before + 1)
    now = time.time()
    due = (now // EVERY_S + 1) * EVERY_S
    time.sleep(max(0.0, due + offset_s - now))
    process.kill()
    process.wait()


def test_a_controller_killed_around_a_tick_neither_misses_nor_repeats_it(world: World, tmp_path: Path) -> None:
    world.deploy()
    leader = world.start_controller()
    world.someone_leads()
    step = {"id": "count", "use": "probe:count", "with": {"out": str(tmp_path / "out")}}
    # Given a flow that ticks every three seconds
    flow = world.start_flow("ticking", {"kind": "realtime", "schedule": f"*/{EVERY_S} * * * * *", "steps": [step]})
    spy = Spy(world, flow.version(world.status(flow).input_version), "count")
    for offset_s in (-0.05, 0.005, 0.02, 0.3):
        # When its leader is killed around a tick, and another one takes over
        standby = world.start_controller()
        kill_around(leader, spy, offset_s)
        status = world.status(flow)
        world.forget_leader()
        leader = standby
        world.someone_leads()
        # Then what was promised and not sent comes, and the ticks go on
        promised = parse_timestamp(status.next_tick)
        eventually("the promised tick comes", lambda due=promised: due in spy.ticks(), 60)
        eventually("the ticks go on", lambda due=promised: max(spy.ticks()) > due + timedelta(seconds=EVERY_S), 60)
    # And none has come twice, also not one that was sent in the very moment of the kill
    assert {due: count for due, count in spy.ticks().items() if count > 1} == {}


def test_a_sleeping_flow_is_woken_ahead_of_its_tick(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    step = {"id": "count", "use": "probe:count", "with": {"out": str(out)}}
    flow = world.start_flow("each-minute", {"schedule": "* * * * *", "idle_after": "0s", "steps": [step]})
    # Given a flow that sleeps, with time left to its next tick
    status = world.flow_becomes(flow, "Sleeping", 90)
    if parse_timestamp(status.next_tick).timestamp() - time.time() < 10:
        known = len(world.seen(out))
        eventually("the tick that was too near is over", lambda: len(world.seen(out)) > known, 60)
        status = world.flow_becomes(flow, "Sleeping", 60)
    due = parse_timestamp(status.next_tick)
    known = len(world.seen(out))
    # When it is due
    eventually("the tick is processed", lambda: len(world.seen(out)) > known, 120)
    # Then the wake had begun before, because of it
    wakes = [event for event in world.events(flow) if event.reason == "TickAhead"]
    assert wakes
    assert due - timedelta(seconds=EVERY_S) < parse_timestamp(wakes[-1].at) < due
    assert world.status(flow).later_ticks

"""Steps that run and do nothing, as known faults of Node's library make them, are put right.

Numbers are those of the rows of the table in docs/contract.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.features.test_node import chain, step
from tests.world import World, eventually

pytestmark = pytest.mark.stack


@pytest.mark.slow
def test_row_5_a_message_finished_while_the_broker_is_away_holds_up_no_other(
    node_world_of: Callable[..., World], servers: Servers, tmp_path: Path
) -> None:
    hurt = node_world_of(NOMADFLOWS_STALLED_AFTER="8")
    out, begun = tmp_path / "out", tmp_path / "begun"
    flow = hurt.start_flow(
        "race",
        chain(
            step("receive", "probe:receive"),
            step("slow", "node-probe:slow", begun=begun, work_ms=1_500),
            step("note", "probe:relay", out=out),
        ),
    )
    for trial in range(2):
        # Given the connection is cut in the middle of a message, and comes back after its end: the library may then
        # wait for ever for the acknowledgement of a delivery that the broker has forgotten
        hurt.send(flow, range(trial, trial + 1))
        eventually("it is in work", lambda: begun.exists() and str(trial) in begun.read_text().split(), 90)  # noqa: B023
        servers.restart("rabbitmq")
        # Then it is finished all the same
        hurt.all_arrive(out, range(trial + 1), 90)
    # And so are those behind it, by the same process or by the one that the watchdog puts in its place
    hurt.send(flow, range(2, 3))
    hurt.all_arrive(out, range(3), 90)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["node", "python"])
def test_row_12_a_step_that_never_finishes_a_message_is_restarted(
    world: World, node_world_of: Callable[..., World], tmp_path: Path, language: str
) -> None:
    hurt = node_world_of(NOMADFLOWS_STALLED_AFTER="6")
    out, tries = tmp_path / "out", tmp_path / "tries"
    hangs = (
        {**step("hangs", "node-probe:hang", tries=tries, only=0, out=out), "replicas": 2}
        if language == "node"
        else step("hangs", "probe:relay", out=out, work_ms=600_000)
    )
    flow = hurt.start_flow(f"hang-{language}", chain(step("receive", "probe:receive"), hangs))
    # Given a message that is never finished; in Node beside a process that goes on with the others
    hurt.send(flow, range(1))
    before = eventually("it has a process", lambda: hurt.step_pids(flow, "hangs"))
    if language == "node":
        eventually("it hangs", tries.exists)
        Path(f"{tries}.cured").touch()
    sent = itertools.count(1)

    def is_restarted() -> bool:
        number = next(sent)
        hurt.send(flow, range(number, number + 1))
        return "StepHangs" in [event.reason for event in hurt.events(flow)]

    # Then its process is replaced, though it heeds no signal, and the history says why
    eventually("it is restarted", is_restarted, 40, every=0.5)
    eventually("other processes", lambda: set(hurt.step_pids(flow, "hangs")).isdisjoint(before), 60)
    if language == "node":
        hurt.all_arrive(out, range(next(sent)))


@pytest.mark.slow
def test_row_8_a_step_that_stays_without_a_consumer_is_restarted(
    world: World, node_world_of: Callable[..., World], tmp_path: Path
) -> None:
    hurt = node_world_of(NOMADFLOWS_DEAF_AFTER="4")
    out = tmp_path / "out"
    flow = hurt.start_flow(
        "deaf", chain(step("receive", "node-probe:receive"), step("note", "node-probe:echo", out=out))
    )
    # Given somebody deletes a queue under a live step: the library stays alive and never consumes again
    with hurt.channel() as channel:
        channel.queue_delete(flow.version(1).queue("note"))
    # Then the queue is made again, and the step too
    eventually("it is restarted", lambda: "StepHangs" in [event.reason for event in hurt.events(flow)], 60)
    eventually("it consumes", lambda: all(s.consumers for s in hurt.status(flow).steps), 60)
    hurt.send(flow, range(3))
    hurt.all_arrive(out, range(3))

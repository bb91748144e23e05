"""The topology as data: where a message with a given key ends up, worked out without a broker."""

from __future__ import annotations

import re

from nomadflows.broker.difference import Listed, difference
from nomadflows.broker.topology import (
    Binding,
    Exchange,
    Queue,
    Topology,
    set_aside,
    topology,
    wake_bindings,
    workspace_topology,
)
from nomadflows.model.graph import RunStep
from nomadflows.model.names import (
    REBOUND,
    REBOUND_LATE,
    REBOUNDED,
    REPLIES,
    SINK_QUEUE,
    SNAPSHOT_QUEUE,
    UNROUTED,
    WAKE_QUEUE,
    VersionRef,
    reply_key,
)
from nomadflows.model.queuelimits import QueueLimits

VERSION = VersionRef("default", "orders", 3)
LIMITS = QueueLimits(messages=10, bytes=1_000)


def step(name: str, *after: str, handler: bool = False) -> RunStep:
    return RunStep(name, "action", "log", "", "write", after=after, error_handler=handler)


def fan() -> list[RunStep]:
    """a → b, c → d, with a mapper before b."""
    return [step("a"), step("mapper:a:b", "a"), step("b", "mapper:a:b"), step("c", "a"), step("d", "b", "c")]


def where(made: Topology, exchange: str, key: str) -> set[str]:
    """Destinations of a message, by the rules of a topic exchange (`*` is one word)."""

    def matches(pattern: str) -> bool:
        return (
            re.fullmatch(r"\.".join("[^.]*" if word == "*" else re.escape(word) for word in pattern.split(".")), key)
            is not None
        )

    return {binding.destination for binding in made.bindings if binding.source == exchange and matches(binding.key)}


def test_input_and_output_reach_the_steps_that_are_meant() -> None:
    made = topology(VERSION, fan(), LIMITS)
    assert where(made, "orders.v3", "a.input") == {"orders.v3.a"}
    assert where(made, "orders.v3", "a.data") == {"orders.v3.mapper:a:b", "orders.v3.c"}
    assert where(made, "orders.v3", "mapper:a:b.data") == {"orders.v3.b"}
    assert where(made, "orders.v3", "b.data") == where(made, "orders.v3", "c.data") == {"orders.v3.d"}


def test_only_the_last_steps_output_goes_to_the_sink() -> None:
    made = topology(VERSION, fan(), LIMITS)
    assert [binding.key for binding in made.bindings if binding.destination == SINK_QUEUE] == ["d.data"]


def test_errors_snapshots_and_rebounds_have_their_places() -> None:
    made = topology(VERSION, fan(), LIMITS)
    assert where(made, "orders.v3", "b.error") == {"orders.errors"}
    assert where(made, "orders.v3", "b.snapshot") == {SNAPSHOT_QUEUE}
    assert where(made, "orders.v3", reply_key("0a")) == {REPLIES}
    assert where(made, "orders.v3", "ticked") == {"orders.ticks"}
    assert where(made, "orders.v3", "orders.v3.b.rebound") == {REBOUND, "orders.v3.rebounds.waiting"}
    assert where(made, "orders.v3", "orders.v2.b.rebound") == set()
    assert where(made, REBOUNDED, "orders.v3.b.rebound") == {"orders.returns"}
    assert where(made, REBOUNDED, "orders-2.v3.b.rebound") == set()
    assert where(made, "orders.returns", "orders.v3.mapper:a:b.rebound") == {"orders.v3.mapper:a:b"}
    assert where(set_aside(made, VERSION.ref), REBOUNDED, "orders.v1.b.rebound") == {"orders.aside"}


def test_an_error_handler_gets_all_errors_but_those_it_would_make_itself() -> None:
    steps = [*fan(), step("repair", handler=True), step("tell", "repair")]
    made = topology(VERSION, steps, LIMITS)
    assert where(made, "orders.v3", "b.error") == {"orders.errors", "orders.v3.repair"}
    assert where(made, "orders.v3", "mapper:a:b.error") == {"orders.errors", "orders.v3.repair"}
    assert where(made, "orders.v3", "repair.error") == {"orders.errors"}
    assert where(made, "orders.v3", "tell.error") == {"orders.errors"}
    assert where(made, "orders.v3", "repair.data") == {"orders.v3.tell"}


def test_step_queues_push_back_and_know_the_dead_queue() -> None:
    queue = topology(VERSION, fan(), LIMITS).step_queues[0]
    assert dict(queue.arguments) == {
        "x-max-length": 10,
        "x-max-length-bytes": 1_000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "orders.dead",
    }


def test_rebounds_wait_in_queues_of_one_delay_each() -> None:
    made = workspace_topology()
    ttl = {queue.name: dict(queue.arguments)["x-message-ttl"] for queue in made.rebound_queues}
    sorted_by_iteration = [
        (dict(b.arguments)["reboundIteration"], ttl[b.destination]) for b in made.bindings if b.source == REBOUND
    ]
    assert sorted_by_iteration == [(1, 15_000), (2, 30_000), (3, 60_000), (4, 120_000), (5, 240_000), (6, 480_000)]
    late = [b.destination for b in made.bindings if b.source == REBOUND_LATE]
    assert [ttl[name] for name in late] == [600_000]
    alternate = {exchange.name: dict(exchange.arguments).get("alternate-exchange") for exchange in made.exchanges}
    assert alternate[REBOUND] == REBOUND_LATE
    for queue in made.rebound_queues:
        assert dict(queue.arguments)["x-dead-letter-strategy"] == "at-least-once"
        assert dict(queue.arguments)["x-dead-letter-exchange"] == REBOUNDED


def test_the_count_of_rebounds_refuses_none_and_outlives_the_longest_delay() -> None:
    (queue,) = topology(VERSION, fan(), LIMITS).rebound_queues
    assert dict(queue.arguments)["x-overflow"] == "drop-head"
    longest = max(dict(q.arguments)["x-message-ttl"] for q in workspace_topology().rebound_queues)
    assert dict(queue.arguments)["x-message-ttl"] > longest


def test_what_versions_share_does_not_depend_on_a_versions_limits() -> None:
    one, two = (topology(VERSION.ref.version(n), fan(), QueueLimits(n, n)) for n in (1, 2))
    assert one.flow_queues == two.flow_queues
    assert not {queue.name for queue in one.step_queues + one.rebound_queues} & {queue.name for queue in two.queues}


def test_every_destination_is_declared() -> None:
    made, shared = topology(VERSION, fan(), LIMITS), workspace_topology()
    names = {item.name for item in (*made.all_exchanges, *made.queues, *shared.exchanges, *shared.queues)}
    for binding in (*made.bindings, *shared.bindings, *wake_bindings(VERSION)):
        assert {binding.source, binding.destination} <= names


def test_a_parked_versions_messages_wake_from_both_exchanges() -> None:
    assert {(b.source, b.key) for b in wake_bindings(VERSION)} == {
        ("orders.v3", "*.input"),
        ("orders.v3", "*.data"),
        ("orders.v3", "*.error"),
        ("orders.returns", "#"),
    }
    assert {b.destination for b in wake_bindings(VERSION)} == {WAKE_QUEUE}


def test_the_sink_keeps_nothing_and_unrouted_messages_are_kept_for_people() -> None:
    arguments = {queue.name: dict(queue.arguments) for queue in workspace_topology().queues}
    assert arguments[SINK_QUEUE] == {"x-max-length": 0}
    assert arguments[UNROUTED]["x-max-length"] == 10_000
    assert arguments[UNROUTED]["x-overflow"] == "drop-head"


def listed(made: Topology) -> Listed:
    """What the management API would tell of it."""
    return Listed.from_api(
        [
            {"name": e.name, "type": e.type, "arguments": dict(e.arguments), "auto_delete": e.auto_delete}
            for e in made.all_exchanges
        ],
        [{"name": q.name, "arguments": dict(q.arguments), "state": "running"} for q in made.queues],
        [
            {
                "source": b.source,
                "destination": b.destination,
                "destination_type": b.to,
                "routing_key": b.key,
                "arguments": dict(b.arguments),
                "properties_key": "x",
            }
            for b in made.bindings
        ],
    )


def test_nothing_differs_where_all_is_there() -> None:
    made = topology(VERSION, fan(), LIMITS)
    assert not difference(made, listed(made))


def test_what_is_missing_is_named() -> None:
    made = topology(VERSION, fan(), LIMITS)
    there = listed(made)
    gone = Listed(
        there.exchanges - {made.flow_exchanges[1]},
        there.queues - {made.step_queues[1]},
        there.bindings - {made.bindings[0]},
    )
    assert difference(made, gone).missing == (made.flow_exchanges[1], made.step_queues[1], made.bindings[0])
    assert difference(made, Listed()).missing == (*made.all_exchanges, *made.queues, *made.bindings)


def test_what_has_other_properties_is_altered_not_missing() -> None:
    made = Topology(
        exchanges=(Exchange("x", "topic"),),
        step_queues=(Queue("q", (("x-max-length", 1),)),),
        bindings=(Binding("x", "q", "k"),),
    )
    other = Listed(
        frozenset({Exchange("x", "fanout")}), frozenset({Queue("q", (("x-max-length", 2),))}), frozenset(made.bindings)
    )
    found = difference(made, other)
    assert found.missing == ()
    assert found.altered == (made.exchanges[0], made.step_queues[0])


def test_no_queue_has_an_argument_that_newer_brokers_refuse() -> None:
    made = topology(VERSION, fan(), LIMITS)
    queues = (*set_aside(made, VERSION.ref).queues, *workspace_topology().queues)
    assert not {"x-queue-mode", "x-queue-version"} & {name for queue in queues for name, _ in queue.arguments}

"""What a parked version needs, compared with the listings of a vhost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from nomadflows.broker.accounts import permissions
from nomadflows.broker.standing import needed, standing
from nomadflows.broker.topology import Binding, Topology, fed, topology
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.queuelimits import QueueLimits

VERSION = VersionRef("default", "orders", 3)
STEPS = ("read", "store")
PARKED = fed(
    topology(
        VERSION,
        [RunStep("read", "trigger", "log", "", "write"), RunStep("store", "action", "log", "", "write", after=("read",))],
        QueueLimits(10, 1_000),
    ),
    VERSION,
)  # fmt: skip
RIGHTS = {"user": VERSION.broker_user, "vhost": "nomadflows.default", **permissions(VERSION, STEPS)}


def as_listed(binding: Binding) -> dict[str, Any]:
    return {
        "source": binding.source,
        "destination": binding.destination,
        "destination_type": binding.to,
        "routing_key": binding.key,
        "arguments": dict(binding.arguments),
    }


def stands(present: Topology, *rights: dict[str, str]) -> bool:
    """Beside what belongs to others."""
    stranger = {**RIGHTS, "user": "default.other.v1"}
    listed = [as_listed(binding) for binding in present.bindings]
    listed.append({**listed[0], "destination": "other.v1.read"})
    management: Any = SimpleNamespace(bindings=lambda _vhost: listed, permissions_in=lambda _vhost: [stranger, *rights])
    there = standing(management, "nomadflows.default", ["other.v1.read", *(queue.name for queue in present.queues)])
    return all(mark in there for mark in needed(VERSION, PARKED, STEPS))


def without_one_thing() -> Iterator[Topology]:
    for binding in PARKED.bindings:
        yield replace(PARKED, bindings=tuple(one for one in PARKED.bindings if one != binding))
    for part in ("step_queues", "rebound_queues", "flow_queues"):
        for queue in getattr(PARKED, part):
            yield replace(PARKED, **{part: tuple(one for one in getattr(PARKED, part) if one != queue)})


def test_all_that_was_declared_stands() -> None:
    assert stands(PARKED, RIGHTS)


def test_each_single_thing_that_is_gone_is_noticed() -> None:
    damaged = list(without_one_thing())
    assert len(damaged) > 20
    assert not any(stands(present, RIGHTS) for present in damaged)


def test_an_account_that_is_gone_or_may_do_other_things_is_noticed() -> None:
    assert not stands(PARKED)
    assert not stands(PARKED, {**RIGHTS, "read": ".*"})

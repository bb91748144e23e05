"""Compares a topology with what a broker has. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nomadflows.broker.topology import Binding, Exchange, Queue, Topology, arguments


@dataclass(frozen=True, slots=True)
class Listed:
    """What a broker says it has."""

    exchanges: frozenset[Exchange] = frozenset()
    queues: frozenset[Queue] = frozenset()
    bindings: frozenset[Binding] = frozenset()

    @classmethod
    def from_api(
        cls,
        exchanges: Iterable[Mapping[str, Any]],
        queues: Iterable[Mapping[str, Any]],
        bindings: Iterable[Mapping[str, Any]],
    ) -> Listed:
        """From the JSON of the management API."""
        return cls(
            frozenset(
                Exchange(e["name"], e["type"], arguments(e.get("arguments") or {}), bool(e.get("auto_delete")))
                for e in exchanges
            ),
            frozenset(Queue(q["name"], arguments(q.get("arguments") or {})) for q in queues),
            frozenset(binding_from_api(binding) for binding in bindings),
        )


def binding_from_api(listed: Mapping[str, Any]) -> Binding:
    """A binding as the management API lists it. KeyError for anything else."""
    return Binding(
        listed["source"],
        listed["destination"],
        listed["routing_key"],
        arguments(listed.get("arguments") or {}),
        listed.get("destination_type", "queue"),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` can be declared; `altered` exists with other arguments, and only deleting it would help."""

    missing: tuple[Exchange | Queue | Binding, ...] = ()
    altered: tuple[Exchange | Queue, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.altered)


def difference(wanted: Topology, listed: Listed) -> Difference:
    """What `wanted` has and the broker has not. What else the broker has is not looked at."""
    exchanges = [exchange for exchange in wanted.all_exchanges if exchange not in listed.exchanges]
    queues = [queue for queue in wanted.queues if queue not in listed.queues]
    taken_exchanges = {exchange.name for exchange in listed.exchanges}
    taken_queues = {queue.name for queue in listed.queues}
    return Difference(
        missing=(
            *(exchange for exchange in exchanges if exchange.name not in taken_exchanges),
            *(queue for queue in queues if queue.name not in taken_queues),
            *(binding for binding in wanted.bindings if binding not in listed.bindings),
        ),
        altered=(
            *(exchange for exchange in exchanges if exchange.name in taken_exchanges),
            *(queue for queue in queues if queue.name in taken_queues),
        ),
    )

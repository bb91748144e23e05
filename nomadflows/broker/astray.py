"""Brings back what came for a step while its queue or its binding was missing.

The broker confirms such a message and keeps it with the unrouted ones of the workspace. Once the version is whole
again it can be given to its exchange a second time.
"""

from __future__ import annotations

from nomadflows.broker.broker import Broker
from nomadflows.broker.kept import Shelf
from nomadflows.broker.topology import Topology
from nomadflows.model.names import UNROUTED, VersionRef


def route_again(broker: Broker, version: VersionRef, wanted: Topology) -> int:
    """Publish a version's unrouted messages again, each confirmed before it is taken from the others; how many.
    Refused when a queue is full: the rest stays. What the version has no queue for is left where it is."""
    if not broker.waiting(version.workspace, UNROUTED):
        return 0
    queues = {queue.name for queue in wanted.step_queues}
    keys = {binding.key for binding in wanted.bindings if binding.destination in queues}
    count = 0
    with Shelf(broker.address, version.workspace, broker.timeout) as shelf:
        for message in shelf.look(UNROUTED):
            if message.exchange == version.exchange and message.key in keys:
                shelf.publish(message.exchange, message.key, message.body, dict(message.headers))
                shelf.drop(message)
                count += 1
    return count

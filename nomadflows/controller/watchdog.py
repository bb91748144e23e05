"""How long each step of a running flow has hung: one of its processes runs, but consumes nothing or finishes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nomadflows.broker.broker import Broker
from nomadflows.controller.memory import Memory
from nomadflows.controller.versions import Version
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import vhost
from nomadflows.plan.seen import Seen

_ASK_EVERY_S: Final = 60.0


def watched(seen: Seen, version: Version, broker: Broker, memory: Memory) -> Seen:
    """A broker that does not answer stops the clocks: unknown is not hanging."""
    queues, running = seen.current.queues, seen.current.processes.running
    if queues is None or seen.status.parking:
        memory.restarted(seen.ref)
        return seen
    deaf = {step for step, queue in queues.items() if queue and queue.consumers < running.get(step, 0)}
    counts = None
    if memory.wants_held(seen.ref, min(_ASK_EVERY_S, seen.rules.stalled_after_s / 4)):
        try:
            counts = _counts(version, broker)
        except ServerUnreachable:
            memory.restarted(seen.ref)
    return replace(seen, deaf_s=memory.deaf(seen.ref, deaf), stalled_s=memory.held(seen.ref, counts))


def _counts(version: Version, broker: Broker) -> dict[str, Mapping[str, int]]:
    """Of each step that holds messages, and each of its consumers that does: how many it ever got and finished. One
    that works changes that number, one that hangs does not, however many wait behind or are done beside it."""
    held = broker.totals(version.ref, [step.id for step in version.steps]).steps
    host = vhost(version.ref.workspace)
    return {
        step: broker.management.progress(host, version.ref.queue(step))
        for step, totals in held.items()
        if totals.unacked
    }

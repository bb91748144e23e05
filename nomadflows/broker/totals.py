"""What versions hold, picked from the listed figures of a workspace's queues. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nomadflows.broker.management import QueueTotals
from nomadflows.model.names import VersionRef


@dataclass(frozen=True, slots=True)
class Totals:
    """What one version holds, live. Queues are read one after the other, so a message that moves on while they are
    read may be missed or counted twice: one empty answer is not yet idleness. `rebounding` may be too high for a
    while: a copy that is due leaves the count only with those before it."""

    steps: dict[str, QueueTotals]
    rebounding: int

    @property
    def left(self) -> int:
        return self.rebounding + sum(queue.ready + queue.unacked for queue in self.steps.values())


def totals_of(version: VersionRef, queues: Mapping[str, QueueTotals], steps: Collection[str] | None = None) -> Totals:
    """A version's part of a workspace's figures."""
    prefix = f"{version.exchange}."
    waiting = (version.rebounds_queue, version.ref.aside_queue)
    found = {
        name.removeprefix(prefix): figures
        for name, figures in queues.items()
        if name.startswith(prefix) and name not in waiting
    }
    if steps is not None:
        found = {step: found[step] for step in steps if step in found}
    return Totals(found, sum(queues[name].ready + queues[name].unacked for name in waiting if name in queues))


def unprocessed(versions: Collection[VersionRef], queues: Mapping[str, QueueTotals]) -> int:
    """What the end of these versions of one flow would drop: what waits in their queues, rebounds or was set aside. What
    steps hold at this moment is not counted."""
    prefixes = tuple(f"{version.exchange}." for version in versions)
    aside = {version.ref.aside_queue for version in versions}
    return sum(figures.ready for name, figures in queues.items() if name.startswith(prefixes) or name in aside)

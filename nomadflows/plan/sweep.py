"""Which flows a full round may pass over: those that sleep, and of which nothing differs from how they were left.

A few listings tell that of thousands of flows at once; a look at each one would take the servers minutes. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from nomadflows.model.states import Desired, FlowState, Status, WantedState


def is_quiet(desired: Desired, status: Status, job_index: int | None, queued: AbstractSet[str], *, whole: bool) -> bool:
    """Whether a flow needs no look of its own.

    `job_index`: modify index of its version's job, None: not registered (or stopped). `queued`: names of the broker's
    exchanges (= jobs) that hold any message in any queue. `whole`: whether all stands that a parked version needs: its
    queues, bindings and rights.
    """
    if desired.generation != status.observed_generation:
        return False
    if status.state is FlowState.STOPPED:
        return desired.state is WantedState.STOPPED and job_index is None
    if status.state is not FlowState.SLEEPING or desired.state is not WantedState.RUNNING:
        return False
    return desired.version == status.version and job_index == status.job_index and whole and not queued


def holding(ready: Mapping[str, int]) -> dict[str, set[str]]:
    """From messages per queue: exchange (`<flow>.v<n>`) → its step queues that hold any."""
    found: dict[str, set[str]] = {}
    for queue, count in ready.items():
        flow, _, rest = queue.partition(".")
        version, _, step = rest.partition(".")
        if count and step:
            found.setdefault(f"{flow}.{version}", set()).add(step)
    return found

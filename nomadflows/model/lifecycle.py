"""The states of a flow and what moves it from one to the next.

::

              start                     steps ready                work done (ordinary only)
  Stopped ───────────▶ Starting ───────────────────────▶ Running ───────────────────────────▶ Sleeping
     ▲                  │ ▲  │                            │  │  ▲                              │  │
     │                  │ │  └── stop ──▶ Stopping ◀─ stop ┘  │  └─────────── message ──────────┘  │
     │ steps gone       │ │                 ▲  │              │                                    │
     └──────────────────│─│─────────────────│──┘              │ suspend, queue limit,              │ suspend
                        │ │ resume          │ stop            │ start failures, out of memory      │
                        │ Suspended ◀───────┴─ Suspending ◀───┴────────────────────────────────────┘
                        │            steps gone    ▲
                        └── suspend, start failures, out of memory

A sleeping flow has no process that could fail, and a message wakes it long before a queue is full; a starting one has
not had its chance to empty one. So only a running flow is suspended for a full queue.

In a limited workspace what would suspend a flow by itself stops it, and its time runs out in whatever state it is. A
publish over an active flow replaces the version: Running or Sleeping → Starting (`replace`), or no change of state
(`handover`).

The table below is the whole truth; `next_state` looks a pair up. It knows nothing of servers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from nomadflows.model.states import FlowState, Kind, WorkspaceType


class Signal(StrEnum):
    """What can happen to a flow. The first four are people's wishes, the others are observed."""

    START = "start"
    STOP = "stop"
    SUSPEND = "suspend"
    RESUME = "resume"
    REPLACE = "replace"
    STEPS_READY = "steps ready"
    WORK_DONE = "work done"
    MESSAGE = "message"
    STEPS_GONE = "steps gone"
    QUEUE_LIMIT = "queue limit"
    START_FAILURES = "start failures"
    OUT_OF_MEMORY = "out of memory"
    TIME_UP = "time up"


_S = FlowState
_BY_ITSELF: Final = (Signal.QUEUE_LIMIT, Signal.START_FAILURES, Signal.OUT_OF_MEMORY)

_TABLE: Final[dict[tuple[FlowState, Signal], FlowState]] = {
    (_S.STOPPED, Signal.START): _S.STARTING,
    (_S.STARTING, Signal.STEPS_READY): _S.RUNNING,
    (_S.STARTING, Signal.REPLACE): _S.STARTING,
    (_S.RUNNING, Signal.REPLACE): _S.STARTING,
    (_S.RUNNING, Signal.WORK_DONE): _S.SLEEPING,
    (_S.SLEEPING, Signal.MESSAGE): _S.RUNNING,
    (_S.SLEEPING, Signal.REPLACE): _S.STARTING,
    (_S.SUSPENDING, Signal.STEPS_GONE): _S.SUSPENDED,
    (_S.SUSPENDED, Signal.RESUME): _S.STARTING,
    (_S.STOPPING, Signal.STEPS_GONE): _S.STOPPED,
    **{(state, Signal.STOP): _S.STOPPING for state in _S if state not in {_S.STOPPED, _S.STOPPING}},
    **{(state, Signal.SUSPEND): _S.SUSPENDING for state in (_S.STARTING, _S.RUNNING, _S.SLEEPING)},
    **{(state, Signal.START_FAILURES): _S.SUSPENDING for state in (_S.STARTING, _S.RUNNING)},
    **{(state, Signal.OUT_OF_MEMORY): _S.SUSPENDING for state in (_S.STARTING, _S.RUNNING)},
    (_S.RUNNING, Signal.QUEUE_LIMIT): _S.SUSPENDING,
}


def next_state(
    state: FlowState, signal: Signal, kind: Kind = Kind.ORDINARY, workspace: WorkspaceType = WorkspaceType.FULL
) -> FlowState | None:
    """The state a signal leads to, or None where it changes nothing or is not allowed."""
    if signal is Signal.WORK_DONE and kind is Kind.REALTIME:
        return None
    if signal is Signal.TIME_UP:
        return None if workspace is WorkspaceType.FULL else next_state(state, Signal.STOP, kind, workspace)
    if signal in _BY_ITSELF and workspace is WorkspaceType.LIMITED:
        return next_state(state, Signal.STOP, kind, workspace) if (state, signal) in _TABLE else None
    return _TABLE.get((state, signal))


ACTIVE: Final = frozenset({_S.STARTING, _S.RUNNING, _S.SLEEPING})

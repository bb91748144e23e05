"""What the controller sees of one flow at one moment: the only input of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, Kind, Status, WorkspaceType, parse_timestamp


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A step's input queue. `unacked` is None where nobody asked."""

    ready: int
    consumers: int
    unacked: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class JobSeen:
    """The Nomad job of one version."""

    modify_index: int
    counts: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)  # MiB that one process of each step may use

    @property
    def is_parked(self) -> bool:
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True)
class Processes:
    """Allocations of one version, per group (= step)."""

    live: Mapping[str, int] = field(default_factory=dict)  # that run or are about to
    running: Mapping[str, int] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
    killed: frozenset[str] = frozenset()  # whose newest exit was a kill from outside
    out_of_memory: frozenset[str] = frozenset()  # whose newest exit was a kill for their memory
    notes: Mapping[str, str] = field(default_factory=dict)  # newest task event, where it is a complaint


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """One version's job and queues. `queues` is None when the broker did not answer: unknown is not idle."""

    number: int
    job: JobSeen | None = None  # None: not registered, or stopped
    processes: Processes = field(default_factory=Processes)
    queues: Mapping[str, QueueSeen | None] | None = None  # a queue that does not exist is None
    rebounding: int | None = None

    @property
    def ready(self) -> int:
        return sum(queue.ready for queue in (self.queues or {}).values() if queue)

    @property
    def left(self) -> int | None:
        """Messages that are anywhere in this version, or None if that cannot be told."""
        if self.queues is None or self.rebounding is None:
            return None
        unacked = [queue.unacked for queue in self.queues.values() if queue]
        if None in unacked:
            return None
        return self.ready + sum(count or 0 for count in unacked) + self.rebounding

    @property
    def gone(self) -> bool:
        """No process of it is left: neither Nomad nor the broker knows one."""
        return (
            not any(self.processes.live.values())
            and self.queues is not None
            and not any(q.consumers for q in self.queues.values() if q)
        )


@dataclass(frozen=True, slots=True)
class HookSeen:
    """The shutdown hook of a flow that stops, whose start-up hook had run. `age_s` None: not ordered yet."""

    age_s: float | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """When the controller suspends or stops a flow by itself. Settings of the installation."""

    max_failures: int = 5  # failed starts of a step in a row
    max_out_of_memory: int = 3  # kills of a step within `out_of_memory_window_s`
    out_of_memory_window_s: float = 600.0
    overfull_ratio: float = 0.8  # of either limit of a queue
    resume_ratio: float = 0.6  # a flow suspended for a full queue is resumed below it
    overfull_after_s: float = 10.0  # how long it is there without shrinking
    deaf_after_s: float = 300.0  # a process runs and does not consume (its `init` may last so long): it is restarted
    shutdown_s: float = 60.0  # how long a shutdown hook may take
    stalled_after_s: float = 1_200.0  # messages are held and none is finished: the step is restarted
    limited_ttl_s: float = 8 * 3600.0  # a flow of a limited workspace is stopped so long after its start


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a decision looks at."""

    ref: FlowRef
    now: datetime
    desired: Desired
    status: Status
    current: VersionSeen  # of status.version
    old: VersionSeen | None = None  # of status.replacing
    incoming: VersionSeen | None = None  # of status.incoming
    kind: Kind = Kind.ORDINARY
    workspace: WorkspaceType = WorkspaceType.FULL
    replicas: Mapping[str, int] = field(default_factory=dict)  # wanted, per step of status.version
    idle_after_s: float = 60.0
    drain_s: float = 30.0
    ready_timeout_s: float = 120.0
    idle_for_s: float | None = None  # how long nothing was left to do; None: busy or unknown
    message: bool = False  # a message came in since the last look
    tick_in_s: float | None = None  # until the next tick is due
    wake_lead_s: float = 2.0
    failures: Mapping[str, int] = field(default_factory=dict)  # exits of a step since it was last ready
    out_of_memory: Mapping[str, int] = field(default_factory=dict)  # kills of a step for its memory, lately
    overfull_s: Mapping[str, float] = field(
        default_factory=dict
    )  # since when a queue is over its mark and does not shrink
    deaf_s: Mapping[str, float] = field(default_factory=dict)  # how long a step has lacked a consumer
    stalled_s: Mapping[str, float] = field(default_factory=dict)  # how long a consumer's messages have not moved
    queue_limits: tuple[int, int] = (75_000, 209_715_200)  # messages, bytes
    rules: Rules = Rules()
    retention_s: float = 7 * 86_400.0
    aside: int | None = None  # messages that rebounded to a suspended flow; None: nobody asked, or no answer
    autoscaled: Mapping[str, str] = field(default_factory=dict)  # step → by which figures its number is decided
    renewed: bool = False  # a resume would run other components than those that were suspended
    hook: HookSeen | None = None  # None: there is nothing to undo
    drifted: tuple[str, ...] = ()  # what strangers changed of the version's job, queues or role

    @property
    def all_ready(self) -> bool:
        """Every step's queue has a consumer."""
        queues = self.current.queues
        return queues is not None and all((q := queues.get(step)) is not None and q.consumers for step in self.replicas)

    @property
    def not_ready(self) -> list[str]:
        queues = self.current.queues or {}
        return [step for step in self.replicas if not ((q := queues.get(step)) and q.consumers)]

    def is_overfull(self, step: str) -> bool:
        """Whether a step's queue is over its mark of messages or bytes."""
        return self.is_fuller(step, self.rules.overfull_ratio)

    def is_fuller(self, step: str, ratio: float) -> bool:
        """Whether a step's queue holds more than this part of either limit."""
        queue = (self.current.queues or {}).get(step)
        if queue is None:
            return False
        messages, size = self.queue_limits
        return queue.ready > ratio * messages or (queue.bytes or 0) > ratio * size

    @property
    def in_state_s(self) -> float:
        """How long the flow has been in its state with this version; 0 where no status says since when."""
        return self.seconds_since(parse_timestamp(self.status.since)) if self.status.since else 0.0

    @property
    def wanted_s(self) -> float:
        """How long ago what is wanted was asked for."""
        return self.seconds_since(parse_timestamp(self.desired.at)) if self.desired.at else 0.0

    def seconds_since(self, moment: datetime) -> float:
        return (self.now - moment).total_seconds()

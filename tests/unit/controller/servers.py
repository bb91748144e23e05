"""What Consul, Nomad and RabbitMQ hold in memory, and what became of messages. The fakes change it, tests look at it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nomadflows.model.names import SINK_QUEUE, FlowRef, VersionRef, input_key
from nomadflows.model.states import Desired, Event, Meta, Status, WorkspaceType
from nomadflows.store.documents import Versioned

Json = dict[str, Any]

FLOW: Final = FlowRef("default", "orders")
BEGIN: Final = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)


@dataclass
class Queue:
    limit: int
    ready: deque[int] = field(default_factory=deque)
    unacked: list[int] = field(default_factory=list)
    consumers: set[str] = field(default_factory=set)


@dataclass
class Process:
    """One allocation. `holds` is the message in work."""

    id: str
    job: str
    group: str
    version: int
    state: str = "pending"
    restarts: int = 0
    note: str = ""
    leaving: bool = False
    holds: int | None = None

    @property
    def live(self) -> bool:
        return self.state in {"pending", "running"}


@dataclass
class Rebound:
    """A message that waits for another try."""

    due: float
    version: int
    step: str
    message: int


class Servers:
    """All that the fakes share, and all that the tests look at."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.hook: Callable[[str], None] = lambda _where: None
        self.signal: Callable[[], None] = lambda: None
        self.away: set[str] = set()
        self.index = 100
        # Consul
        self.meta = Meta(FLOW.flow)
        self.workspace = WorkspaceType.FULL
        self.desired: Versioned[Json] = Versioned(Desired().to_json(), 1)
        self.status: Versioned[Json] = Versioned(Status().to_json(), 0)
        self.versions: dict[int, Json] = {}
        self.history: list[tuple[str, str, Event]] = []  # state before, state after, event
        # Nomad
        self.jobs: dict[str, Json] = {}
        self.processes: list[Process] = []
        self.started = 0
        # RabbitMQ
        self.queues: dict[str, Queue] = {}
        self.bindings: dict[tuple[str, str], list[str]] = {}
        self.exchanges: set[str] = set()
        self.fed: set[str] = set()
        self.wakes: list[str] = []
        self.published: Counter[str] = Counter()
        self.rebounding: list[Rebound] = []
        self.unrouted: list[tuple[str, str, int]] = []  # exchange, key, message
        self.dead: list[int] = []
        self.users: set[str] = set()
        # Vault
        self.roles: set[str] = set()
        # What became of messages
        self.done: Counter[int] = Counter()
        self.dropped: list[int] = []

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.now_s)

    def next_index(self) -> int:
        self.index += 1
        return self.index

    def wish(self, desired: Desired) -> None:
        self.desired = Versioned(desired.to_json(), self.next_index())
        self.signal()

    def read_status(self) -> Status:
        return Status.from_json(self.status.value)

    def read_desired(self) -> Desired:
        return Desired.from_json(self.desired.value)

    def publish_to(self, exchange: str, key: str, number: int) -> bool:
        """As the broker: into every queue bound, or, if one is full or the exchange is missing, nowhere. What nobody is
        bound to is taken all the same, and lies where no step reads it."""
        names = self.bindings.get((exchange, key), [])
        bound = [self.queues[name] for name in names if name in self.queues]
        if exchange not in self.exchanges or any(len(queue.ready) >= queue.limit for queue in bound):
            return False
        if not bound and SINK_QUEUE not in names:
            self.unrouted.append((exchange, key, number))
        for queue in bound:
            queue.ready.append(number)
        self.published[exchange] += 1
        if exchange in self.fed:
            self.wakes.append(exchange)
            self.signal()
        return True

    def accept(self, number: int, step: str = "receive") -> bool:
        """A message from outside, for the version that takes input now. Whether it was confirmed."""
        version = self.read_status().input_version
        return bool(version) and self.publish_to(FLOW.version(version).exchange, input_key(step), number)

    def whereabouts(self) -> set[int]:
        """Every message that is anywhere."""
        found = set(self.done) | set(self.dropped) | set(self.dead) | {rebound.message for rebound in self.rebounding}
        found |= {number for *_, number in self.unrouted}
        for queue in self.queues.values():
            found |= {*queue.ready, *queue.unacked}
        return found

    def picture(self) -> Json:
        """All that a controller could change, to be compared with a later one."""
        kept = ("desired", "status", "history", "jobs", "processes", "queues", "bindings", "exchanges", "fed", "users")
        return deepcopy({name: getattr(self, name) for name in (*kept, "roles", "rebounding", "dead", "dropped")})

    def drop_rebounds(self, version: VersionRef) -> int:
        gone = [rebound for rebound in self.rebounding if rebound.version == version.number]
        self.dropped += [rebound.message for rebound in gone]
        self.rebounding = [rebound for rebound in self.rebounding if rebound not in gone]
        return len(gone)

    def delete_queue(self, name: str) -> int:
        queue = self.queues.pop(name, None)
        if queue is None:
            return 0
        for names in self.bindings.values():
            if name in names:
                names.remove(name)
        for bound in self.bindings.values():
            if name in bound:
                bound.remove(name)
        self.dropped += [*queue.ready, *queue.unacked]
        return len(queue.ready)

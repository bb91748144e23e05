"""A flow's life in memory: the real reconciler over fake servers, and what Nomad, steps and people do around it.

Nothing happens by itself: each method is one small event, and `live` lets the natural ones happen in turn.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import structlog

from nomadflows.clients import Clients
from nomadflows.controller.reconciler import Reconciler
from nomadflows.model import requests as rules
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.names import VersionRef, data_key
from nomadflows.model.states import FlowState, Kind, WantedState, WorkspaceType, timestamp
from tests.unit.controller.fakes import (
    FakeBroker,
    FakeFence,
    FakeNomad,
    FakeStore,
    FakeVault,
    LeaderDied,
    rendered,
    route_again,
)
from tests.unit.controller.servers import FLOW, Process, Rebound, Servers

REBOUND_S: Final = 15.0
IDLE_S: Final = 2.0
LIMIT: Final = 10
_NOTHING: Final[Mapping[str, Any]] = {}


class Inline(Executor):
    """Work aside is done at once, so that each run of a test goes the same way."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except NomadflowsError as error:
            future.set_exception(error)
        return future


class Ticks:
    """In place of the scheduler: a tick every so often while the flow is active."""

    def __init__(self, servers: Servers, every_s: float | None) -> None:
        self.servers, self.every_s = servers, every_s
        self.due: float | None = None

    def follow(self, look: Any) -> None:
        seen = look.seen
        active = seen.status.state in ACTIVE and seen.desired.state is WantedState.RUNNING
        if not active or self.every_s is None:
            self.due = None
        elif self.due is None:
            self.due = self.servers.now_s + self.every_s

    def forget(self, _ref: object) -> None:
        self.due = None

    def next_in(self, _ref: object) -> float | None:
        return None if self.due is None else self.due - self.servers.now_s

    def times(self, _ref: object) -> dict[str, str]:
        return {}

    def lead(self, _ref: object) -> float:
        return 2.0


class Simulation:
    """One flow, one leader at a time."""

    def __init__(
        self,
        kind: Kind = Kind.ORDINARY,
        workspace: WorkspaceType = WorkspaceType.FULL,
        tick_s: float | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self.servers = s = Servers()
        s.meta = replace(s.meta, kind=kind)
        s.workspace = workspace
        s.signal = self.signal
        self.idle_s = idle_s
        self.tick_s = tick_s
        self.broken: set[str] = set()  # steps whose processes end as soon as they start
        self.limbo: list[
            tuple[str, int]
        ] = []  # messages of dead processes whose connection the broker still believes in
        self.linger = False  # whether the broker learns of a process's end late
        self.sent = 0
        self.accepted: set[int] = set()
        self.next_controller()

    # ── the controller ────────────────────────────────────────────────────────────────────────────────────

    def next_controller(self) -> None:
        """A new leader knows nothing, and begins with a full round."""
        s = self.servers
        clients = Clients(FakeStore(s), FakeNomad(s), FakeVault(s), FakeBroker(s))  # type: ignore[arg-type]
        self.ticks = Ticks(s, self.tick_s)

        def feed(version: VersionRef, fed: bool) -> None:
            (clients.broker.feed_wake if fed else clients.broker.unfeed_wake)(version)

        self.fence = FakeFence()
        self.reconciler = Reconciler(lambda: clients, self.fence, self.ticks, SimpleNamespace(), feed)  # type: ignore[arg-type]
        self.reconciler._aside.shutdown()
        acts = self.reconciler._acts
        self.reconciler._acts = replace(acts, deployment=replace(acts.deployment, aside=Inline()))  # type: ignore[arg-type]
        self.reconciler._memory._clock = lambda: s.now_s
        self.hints: set[str] = {"full"}
        self.signalled = True
        self.due = math.inf

    def signal(self) -> None:
        self.signalled = True

    def turn(self) -> bool:
        """One look by a worker, if there is cause for one. As `Leader._work` and the wake listener do it."""
        s = self.servers
        if not self.signalled and self.due > s.now_s:
            return False
        if "RabbitMQ" not in s.away and s.wakes:
            s.wakes.clear()
            self.hints.add("message")
        hints, self.hints = frozenset(self.hints), set()
        self.signalled = False
        try:
            again = self.reconciler.work(FLOW, hints)
        except LeaderDied:
            self.next_controller()
        except NomadflowsError:
            self.hints |= hints
            self.due = s.now_s + 0.5
        else:
            self.due = math.inf if again is None else s.now_s + again
        return True

    # ── people ────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, strategy: str = "replace", *, tail: bool = False, note: Mapping[str, Any] = _NOTHING) -> int:
        """The next version; with a third step or without. `note`: what else its second step says."""
        s, desired = self.servers, self.servers.read_desired()
        number = s.meta.latest + 1
        steps: list[dict[str, Any]] = [
            {"id": "receive", "use": "probe:receive"},
            {"id": "note", "use": "probe:relay", **note},
        ]
        if tail:
            steps.append({"id": "tail", "use": "probe:relay"})
        definition = {
            "flow": FLOW.flow,
            "kind": s.meta.kind.value,
            "limits": {"messages": LIMIT, "ready_timeout": "30s", "drain": "3s"},
            "steps": steps,
        }
        if s.meta.kind is Kind.ORDINARY:
            definition["idle_after"] = f"{self.idle_s:g}s"
        s.versions[number] = {"number": number, "definition": definition, "digest": str(number)}
        s.meta = replace(s.meta, latest=number)
        if desired.state is WantedState.RUNNING:
            s.wish(rules.replaced(desired, number, strategy, by="ann", at=timestamp(s.now()), why=""))
        return number

    def wish(self, state: WantedState, *, drain: bool = False, force: bool = False) -> None:
        s, desired = self.servers, self.servers.read_desired()
        version = s.meta.latest if state is WantedState.RUNNING else desired.version
        wished = rules.wish(desired, state, version=version, by="ann", at=timestamp(s.now()))
        s.wish(replace(wished, drain=drain if state is WantedState.STOPPED else wished.drain, force=force))

    def send(self, count: int = 1, step: str = "receive") -> None:
        for _ in range(count):
            self.sent += 1
            if self.servers.accept(self.sent, step):
                self.accepted.add(self.sent)

    # ── Nomad and the processes ───────────────────────────────────────────────────────────────────────────

    def live_processes(self) -> list[Process]:
        return [process for process in self.servers.processes if process.live]

    def schedule(self) -> bool:
        """Nomad brings its allocations in line with the jobs."""
        s, changed = self.servers, False
        for process in self.live_processes():
            if not process.leaving and process.job not in s.jobs:
                process.leaving = changed = True
        for name, job in s.jobs.items():
            for group in job["TaskGroups"]:
                wanted = 0 if job["Stop"] else group["Count"]
                up = [p for p in self.live_processes() if (p.job, p.group) == (name, group["Name"]) and not p.leaving]
                for process in up[wanted:]:
                    process.leaving = changed = True
                for _ in range(wanted - len(up)):
                    s.started += 1
                    number = int(name.rpartition(".v")[2])
                    s.processes.append(Process(f"alloc-{s.started}", name, group["Name"], number))
                    changed = True
        if changed:
            s.signal()
        return changed

    def queue_of(self, process: Process) -> Any:
        return self.servers.queues.get(FLOW.version(process.version).queue(process.group))

    def step(self, process: Process) -> bool:
        """The next thing a process does: come up, consume, take a message, finish it, leave."""
        if not process.live:
            return False
        if process.leaving:
            return self.leave(process)
        if process.state == "pending":
            process.state = "running"
            self.servers.signal()
            return True
        if process.group in self.broken or FLOW.version(process.version).broker_user not in self.servers.users:
            return self.die(process)
        queue = self.queue_of(process)
        if queue is None:
            return False
        if process.id not in queue.consumers:
            queue.consumers.add(process.id)
            return True
        if process.holds is not None:
            return self.finish(process)
        if queue.ready:
            process.holds = queue.ready.popleft()
            queue.unacked.append(process.holds)
            return True
        return False

    def finish(self, process: Process, *, acknowledged: bool = True) -> bool:
        """Output confirmed, then the input acknowledged; refused output is tried again later."""
        s, number = self.servers, process.holds
        queue, version = self.queue_of(process), FLOW.version(process.version)
        if number is None or queue is None:
            return False
        if not s.publish_to(version.exchange, data_key(process.group), number):
            return False
        if not any(name in s.queues for name in s.bindings.get((version.exchange, data_key(process.group)), [])):
            s.done[number] += 1
        if acknowledged:
            queue.unacked.remove(number)
            process.holds = None
        return True

    def rebound(self, process: Process) -> bool:
        s, number, queue = self.servers, process.holds, self.queue_of(process)
        if number is None or queue is None:
            return False
        s.rebounding.append(Rebound(s.now_s + REBOUND_S, process.version, process.group, number))
        queue.unacked.remove(number)
        process.holds = None
        return True

    def _lose(self, process: Process) -> None:
        """The broker hears of a process's end: what it held is ready again."""
        queue = self.queue_of(process)
        number, process.holds = process.holds, None
        if queue is None:
            return
        queue.consumers.discard(process.id)
        if number is None:
            return
        if self.linger:
            self.limbo.append((FLOW.version(process.version).queue(process.group), number))
        else:
            queue.unacked.remove(number)
            queue.ready.appendleft(number)

    def die(self, process: Process, note: str = "Exit Code: 1") -> bool:
        self._lose(process)
        process.note, process.restarts, process.state = note, process.restarts + 1, "pending"
        if process.leaving:
            process.state = "complete"
        self.servers.signal()
        return True

    def leave(self, process: Process) -> bool:
        self._lose(process)
        process.state = "complete"
        self.servers.signal()
        return True

    def give_back(self) -> bool:
        """The broker notices at last that processes are gone. No exchange sees these messages."""
        for name, number in self.limbo:
            if queue := self.servers.queues.get(name):
                queue.unacked.remove(number)
                queue.ready.appendleft(number)
        found, self.limbo = bool(self.limbo), []
        return found

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────

    def clockwork(self) -> bool:
        """What is due: rebounds return to their queues, ticks are published."""
        s, happened = self.servers, False
        for rebound in [rebound for rebound in s.rebounding if rebound.due <= s.now_s]:
            happened |= self._returns(rebound)
        due = self.ticks.due
        if due is not None and due <= s.now_s + 2.0 and self.tick_s is not None:
            s.signal()
            if due <= s.now_s:
                version = s.read_status().input_version
                queue = s.queues.get(FLOW.version(version).queue("receive")) if version else None
                if queue is not None and not queue.ready:
                    self.send()
                self.ticks.due = s.now_s + self.tick_s
                happened = True
        return happened

    def _returns(self, rebound: Rebound) -> bool:
        """The delay of a rebound is over; a full queue makes it wait on."""
        s, version = self.servers, FLOW.version(rebound.version)
        queue = s.queues.get(version.queue(rebound.step))
        if queue is None or len(queue.ready) >= queue.limit:
            return False
        queue.ready.append(rebound.message)
        s.rebounding.remove(rebound)
        if version.exchange in s.fed:
            s.wakes.append(version.exchange)
            s.signal()
        return True

    def live(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let everything take its natural course; whether `until` came true."""
        s = self.servers
        end = s.now_s + seconds
        while s.now_s < end:
            moved = self.schedule()
            for process in self.live_processes():
                moved |= self.step(process)
            moved |= self.clockwork()
            moved |= self.turn()
            if until():
                return True
            s.now_s += 0.02 if moved else max(0.02, min(self.due - s.now_s, self._next_event() - s.now_s, 5.0))
        return until()

    def _next_event(self) -> float:
        moments = [rebound.due for rebound in self.servers.rebounding]
        if self.ticks.due is not None:
            moments += [self.ticks.due - 2.0, self.ticks.due]
        return min((m for m in moments if m > self.servers.now_s), default=math.inf)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────

    def missing(self) -> set[int]:
        """Messages that were accepted and are nowhere."""
        return self.accepted - self.servers.whereabouts()

    def waiting(self) -> set[int]:
        """Accepted, and neither processed nor dropped."""
        s = self.servers
        return self.accepted - set(s.done) - set(s.dropped) - set(s.dead)

    def at_rest(self) -> bool:
        """Whether the flow is as somebody wants it, and has nothing to do."""
        status, desired = self.servers.read_status(), self.servers.read_desired()
        if desired.state is WantedState.STOPPED:
            return status.state is FlowState.STOPPED
        if desired.state is WantedState.SUSPENDED:  # one that was suspended before it began stays stopped
            return status.state in {FlowState.SUSPENDED, FlowState.STOPPED}
        wanted = FlowState.RUNNING if self.servers.meta.kind is Kind.REALTIME else FlowState.SLEEPING
        whole = status.version == desired.version and not status.replacing and not status.incoming
        return status.state is wanted and whole and not self.waiting() and not status.waking


@contextmanager
def in_memory(*args: Any, **kwargs: Any) -> Iterator[Simulation]:
    """A simulation with its clock in place of the real one."""
    with ExitStack() as stack:
        yield enter(stack, *args, **kwargs)


def enter(stack: ExitStack, *args: Any, **kwargs: Any) -> Simulation:
    """As `in_memory`, for callers that end the stack themselves."""
    quiet = structlog.get_config()
    stack.callback(lambda: structlog.configure(**quiet))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    simulation = Simulation(*args, **kwargs)
    stack.enter_context(patch("nomadflows.controller.observe.utc_now", simulation.servers.now))
    stack.enter_context(patch("nomadflows.controller.deployment.render_job", rendered))
    stack.enter_context(patch("nomadflows.controller.deployment.route_again", route_again))
    return simulation

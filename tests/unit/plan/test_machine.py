"""Any sequence of wishes, observations and faults, against the table of states.

The model is the table in `model/lifecycle.py`; the system is the real decision code, with the acts it orders carried
out on servers in memory. Whatever happened: every change of state is one the table allows for its cause, no message
goes missing, and once the faults are over the flow comes to rest where it is wanted.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nomadflows.model.lifecycle import Signal, next_state
from nomadflows.model.states import FlowState, Kind, WantedState, WorkspaceType
from tests.unit.controller.fakes import LeaderDied
from tests.unit.controller.servers import FLOW, Process
from tests.unit.controller.simulation import Simulation, enter

CAUSES: Final = {
    "StartRequested": Signal.START,
    "StopRequested": Signal.STOP,
    "SuspendRequested": Signal.SUSPEND,
    "ResumeRequested": Signal.RESUME,
    "Publishing": Signal.REPLACE,
    "StepsReady": Signal.STEPS_READY,
    "Parked": Signal.WORK_DONE,
    "MessageArrived": Signal.MESSAGE,
    "TickAhead": Signal.MESSAGE,
    "FoundAwake": Signal.MESSAGE,
    "Suspended": Signal.STEPS_GONE,
    "Stopped": Signal.STEPS_GONE,
    "QueueLimit": Signal.QUEUE_LIMIT,
    "StartFailures": Signal.START_FAILURES,
    "OutOfMemory": Signal.OUT_OF_MEMORY,
    "TimeUp": Signal.TIME_UP,
}
DROPPING: Final = {"Stopped", "RetentionOver"}
SERVERS: Final = ("Consul", "Nomad", "RabbitMQ", "Vault")
HOURS: Final = 3600.0
LONG_S: Final = 400.0


class Life(RuleBasedStateMachine):
    """One flow from its first publish on."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.sim = Simulation()
        self.checked = 0

    @initialize(
        kind=st.sampled_from(Kind),
        workspace=st.sampled_from(WorkspaceType),
        ticks=st.sampled_from([None, None, 40.0]),
        tail=st.booleans(),
    )
    def begin(self, kind: Kind, workspace: WorkspaceType, ticks: float | None, *, tail: bool) -> None:
        self.tail = tail
        self.sim = enter(self.stack, kind, workspace, ticks)
        self.sim.servers.hook = self._watch
        self.sim.publish(tail=tail)
        self.sim.wish(WantedState.RUNNING)

    # ── people ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def wanted(self) -> WantedState:
        return self.sim.servers.read_desired().state

    @precondition(lambda self: self.wanted is WantedState.STOPPED)
    @rule()
    def start(self) -> None:
        self.sim.wish(WantedState.RUNNING)

    @precondition(lambda self: self.wanted is not WantedState.STOPPED)
    @rule(drain=st.booleans())
    def stop(self, *, drain: bool) -> None:
        self.sim.wish(WantedState.STOPPED, drain=drain)

    @precondition(lambda self: self.wanted is WantedState.RUNNING)
    @rule()
    def suspend(self) -> None:
        self.sim.wish(WantedState.SUSPENDED)

    @precondition(lambda self: self.wanted is WantedState.SUSPENDED)
    @rule(force=st.booleans())
    def resume(self, *, force: bool) -> None:
        self.sim.wish(WantedState.RUNNING, force=force)

    @rule(strategy=st.sampled_from(["replace", "handover"]), other_steps=st.booleans())
    def publish(self, strategy: str, *, other_steps: bool) -> None:
        if other_steps and self.wanted is not WantedState.SUSPENDED:
            self.tail = not self.tail
        self.sim.publish(strategy, tail=self.tail)

    @rule(count=st.integers(1, 12), step=st.sampled_from(["receive", "note"]))
    def message(self, count: int, step: str) -> None:
        self.sim.send(count, step)

    # ── what happens by itself ────────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([0.05, 0.3, 3.0, 20.0]))
    def live(self, seconds: float) -> None:
        self.sim.live(seconds)

    @rule(seconds=st.sampled_from([1.0, 60.0, 9 * HOURS, 8 * 24 * HOURS]))
    def time_passes(self, seconds: float) -> None:
        self.sim.servers.now_s += seconds
        self.sim.clockwork()

    @rule()
    def look(self) -> None:
        self.sim.signal()
        self.sim.turn()

    @rule()
    def full_round(self) -> None:
        self.sim.hints.add("full")
        self.sim.signal()
        self.sim.turn()

    @rule()
    def nomad_schedules(self) -> None:
        self.sim.schedule()

    @rule(data=st.data(), what=st.sampled_from(["step", "die", "rebound", "half done", "out of memory"]))
    def process(self, data: Any, what: str) -> None:
        alive = self.sim.live_processes()
        if alive:
            self._happens_to(data.draw(st.sampled_from(alive), label="process"), what)

    def _happens_to(self, process: Process, what: str) -> None:
        if what == "die":
            self.sim.die(process)
        elif what == "out of memory":
            self.sim.die(process, "OOM Killed")
        elif what == "rebound":
            self.sim.rebound(process)
        elif what == "half done":
            self.sim.finish(process, acknowledged=False)
            self.sim.die(process)
        else:
            self.sim.step(process)

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────

    @rule(server=st.sampled_from(SERVERS))
    def server_goes_or_comes(self, server: str) -> None:
        self.sim.servers.away ^= {server}

    @rule(step=st.sampled_from(["receive", "note"]))
    def step_breaks_or_is_mended(self, step: str) -> None:
        self.sim.broken ^= {step}

    @rule(what=st.sampled_from(["user", "role", "wake binding"]))
    def stranger_deletes(self, what: str) -> None:
        servers = self.sim.servers
        if what == "user":
            servers.users.clear()
        elif what == "role":
            servers.roles.clear()
        elif servers.read_status().state is FlowState.SLEEPING:
            servers.fed.clear()

    @rule(calls=st.integers(0, 25))
    def leader_dies_in_its_next_look(self, calls: int) -> None:
        left = calls

        def hook(_where: str) -> None:
            nonlocal left
            self._watch(_where)
            left -= 1
            if left < 0:
                self.sim.servers.hook = self._watch
                raise LeaderDied

        self.sim.servers.hook = hook
        self.look()
        self.sim.servers.hook = self._watch

    # ── what holds at every moment ────────────────────────────────────────────────────────────────────────

    def _watch(self, _where: str) -> None:
        """Each change of state, at the moment it is written."""
        servers = self.sim.servers
        for before, after, event in servers.history[self.checked :]:
            self.checked += 1
            if before == after:
                continue
            expected = next_state(FlowState(before), CAUSES[event.reason], servers.meta.kind, servers.workspace)
            assert expected == FlowState(after), f"{before} → {after} by {event.reason}"
            if after == FlowState.SLEEPING:
                self._falls_asleep()

    def _falls_asleep(self) -> None:
        servers = self.sim.servers
        assert servers.meta.kind is Kind.ORDINARY
        version = FLOW.version(servers.read_status().version)
        assert not self.sim.live_processes()
        ready = [queue.ready for name, queue in servers.queues.items() if name.startswith(f"{version.exchange}.")]
        assert not any(ready)
        assert version.exchange in servers.fed

    @invariant()
    def nothing_is_missing(self) -> None:
        assert not self.sim.missing()

    @invariant()
    def only_a_stop_or_the_retention_drops(self) -> None:
        servers = self.sim.servers
        # (a controller that died in the middle of a stop, or of what retention drops, has dropped, and not yet told)
        if servers.dropped and not any(event.reason in DROPPING for *_, event in servers.history):
            assert servers.read_status().state in {FlowState.STOPPING, FlowState.SUSPENDED}

    def teardown(self) -> None:
        try:
            if self.sim.servers.versions:
                self._comes_to_rest()
        finally:
            self.stack.close()

    def _comes_to_rest(self) -> None:
        sim = self.sim
        sim.servers.away.clear()
        sim.broken.clear()
        sim.hints.add("full")
        sim.signal()
        self._rests()
        if self.wanted is WantedState.SUSPENDED:  # what was mended can be resumed
            sim.wish(WantedState.RUNNING, force=True)
            self._rests()
            assert self.wanted is WantedState.RUNNING, sim.servers.read_desired()

    def _rests(self) -> None:
        sim, servers = self.sim, self.sim.servers
        assert sim.live(LONG_S, sim.at_rest), (servers.read_desired(), servers.read_status(), sim.waiting())
        self.nothing_is_missing()
        state = servers.read_status().state
        status = servers.read_status()
        kept = status.replacing if status.state is FlowState.SUSPENDED else 0
        numbers = {status.version, kept} - {0}
        assert {process.version for process in sim.live_processes()} <= numbers
        assert {int(name.split(".v")[1].split(".")[0]) for name in servers.queues} <= numbers
        assert {FLOW.version(n).job_id for n in numbers} >= set(servers.jobs)
        if state is not FlowState.RUNNING:
            assert not sim.live_processes()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Explaining a failure traces every line of every look: minutes, in which the run would be taken for one that hangs.
    phases=set(Phase) - {Phase.explain},
)

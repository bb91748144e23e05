"""Carries out what was decided. Each act may be repeated: a controller that died in its middle is followed by
one that does it again. Servers first, then the status, so that the status never promises what is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from nomadflows.broker.faults import QueueFull
from nomadflows.clients import Clients
from nomadflows.controller import metrics
from nomadflows.controller.deployment import Deployment
from nomadflows.controller.hooks import HookActs
from nomadflows.controller.observe import Look
from nomadflows.controller.versions import Version, Versions
from nomadflows.controller.writer import Writer, incoming_steps
from nomadflows.model.graph import replicas
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Desired, FlowState, WantedState, parse_timestamp, timestamp
from nomadflows.plan.decision import Act, Decision
from nomadflows.plan.publishing import incoming_ready, warming
from nomadflows.plan.troubles import stuck_steps

_ActFunction = Callable[["Acts", Look, Decision], None]


@dataclass(frozen=True, slots=True)
class Acts:
    """The acts, shared by the worker threads."""

    versions: Versions
    writer: Writer
    deployment: Deployment
    hooks: HookActs
    wake_fed: Callable[[VersionRef, bool], None]
    leading: Callable[[], Clients]  # LostLeadership once another leads

    @property
    def clients(self) -> Clients:
        """Those of the calling thread, for the next call. Never kept: that this controller still leads is looked at
        right before each call, since RabbitMQ and Vault do not ask for it."""
        return self.leading()

    def do(self, look: Look, decision: Decision) -> None:
        """Carry out a decision. Errors of servers pass through; the look is repeated later."""
        _OF[decision.act](self, look, decision)

    # ── states ────────────────────────────────────────────────────────────────────────────────────────────

    def enter(self, look: Look, decision: Decision) -> None:
        seen, status = look.seen, look.seen.status
        changes: dict[str, Any] = {}
        seconds = None
        if status.state is FlowState.STARTING and decision.state is FlowState.RUNNING:
            seconds = changes["warm_up_s"] = _elapsed(status.since, seen.now)
            metrics.WARM_UP.observe(seconds)
            changes.update(came_from=0, input_version=status.version)
            self.wake_fed(seen.ref.version(status.version), False)
            self.deployment.bring_back(seen.ref.version(status.version))
        if decision.state is FlowState.SUSPENDED:
            self.clients.broker.set_aside(seen.ref)
        if decision.state is FlowState.SLEEPING:
            changes["parking"] = False
        if decision.state is FlowState.SUSPENDING:
            if status.parking or status.state is FlowState.SLEEPING:  # messages are kept now, and wake nobody
                self.wake_fed(seen.ref.version(status.version), False)
            changes.update(parking=False, waking="", suspended_for="Requested")
        self.writer.enter(look, decision, changes, seconds=seconds)

    def start(self, look: Look, decision: Decision) -> None:
        seen, status = look.seen, look.seen.status
        # A flow that was suspended in the middle of a publish ends that first.
        number = status.version if status.replacing else seen.desired.version
        version = self.versions.get(self.clients.store, seen.ref.version(number))
        resolved = version.resolve(self.clients.store)
        old = status.replacing or (status.version if status.version != number else 0)
        if status.state is FlowState.STOPPED:
            self.hooks.due(version, resolved)
        if old:  # what the suspended version kept moves into the new one's queues before that comes up
            self._delete_unused(look, number)
            self.deployment.prepare(version, resolved)
        self.writer.enter(
            look,
            decision,
            {
                "version": number,
                "input_version": number if old else status.input_version,  # none before its queues are there
                "replacing": old,
                "incoming": 0,
                "came_from": 0,
                "components": resolved,
                "started": timestamp(seen.now) if status.state is FlowState.STOPPED else status.started,
                "job_index": 0,
                "parking": False,
                "waking": "",
                "warm_up_s": None,
                "dropped": 0,
                "suspended_for": "",
            },
        )

    def bring_up(self, look: Look, decision: Decision) -> None:
        version, status = _required(look), look.seen.status
        index = self.deployment.set_up(version, look.seen.kind, status.components, look.seen.replicas)
        self.deployment.bring_back(version.ref)
        repaired = decision.reason != "Starting"
        if repaired:
            self.deployment.route_again(version)
        changes = {"job_index": index, "input_version": version.ref.number}
        self.writer.update(look, changes, decision if repaired else None)

    # ── park and wake ─────────────────────────────────────────────────────────────────────────────────────

    def prepare_park(self, look: Look, decision: Decision) -> None:
        self.writer.update(look, {"parking": True}, decision)

    def park(self, look: Look, decision: Decision) -> None:
        version = _required(look)
        none = dict.fromkeys(version.replicas, 0)
        if decision.reason == "DriftRepaired":
            index = self.deployment.set_up(version, look.seen.kind, look.seen.status.components, none)
            if look.seen.status.state is FlowState.SLEEPING:
                self.wake_fed(version.ref, True)
            self.deployment.route_again(version)
            self.writer.update(look, {"job_index": index}, decision)
        else:
            if look.seen.status.parking:
                self.wake_fed(version.ref, True)
            self.writer.update(look, {"job_index": self.deployment.scale(version, look.seen, none)}, None)

    def wake(self, look: Look, decision: Decision) -> None:
        version = _required(look)
        index = self.deployment.scale(version, look.seen, look.seen.replicas)
        self.wake_fed(version.ref, False)
        changes = {"job_index": index, "parking": False, "waking": timestamp(look.seen.now)}
        self.writer.enter(look, decision, changes)

    def scale(self, look: Look, decision: Decision) -> None:
        index = self.deployment.scale(_required(look), look.seen, look.seen.replicas)
        self.writer.update(look, {"job_index": index}, decision)

    # ── stop ──────────────────────────────────────────────────────────────────────────────────────────────

    def stop_job(self, look: Look, _decision: Decision) -> None:
        for number in _numbers(look):
            self.deployment.stop(look.seen.ref.version(number))

    def run_shutdown(self, look: Look, decision: Decision) -> None:
        self.hooks.run_shutdown(_required(look), look.seen.status.components)
        self.writer.update(look, {}, decision)

    def clean_up(self, look: Look, decision: Decision) -> None:
        dropped = sum(self.deployment.delete(look.seen.ref.version(number)) for number in _numbers(look))
        self._delete_unused(look, look.seen.desired.version + 1)
        if look.version is not None and look.seen.status.components:
            self.hooks.ended(look.version, look.seen.status.components)
        what = f" {dropped} unprocessed messages were dropped" if dropped else " No message was dropped"
        decision = replace(decision, message=decision.message + "." + what)
        seconds = _elapsed(look.seen.status.since, look.seen.now)
        self.writer.enter(
            look,
            decision,
            {
                "version": 0,
                "input_version": 0,
                "replacing": 0,
                "incoming": 0,
                "steps": (),
                "components": {},
                "job_index": 0,
                "parking": False,
                "waking": "",
                "dropped": dropped,
            },
            seconds=seconds,
        )

    def _delete_unused(self, look: Look, before: int) -> None:
        """Versions that a controller prepared, but died before it wrote so: nobody would ever look for them again."""
        for number in range(look.seen.status.version + 1, before) if look.seen.status.version else ():
            if number not in _numbers(look):
                self.deployment.delete(look.seen.ref.version(number))

    # ── by the controller itself ──────────────────────────────────────────────────────────────────────────

    def intervene(self, look: Look, decision: Decision) -> None:
        wanted = WantedState.STOPPED if decision.state is FlowState.STOPPING else WantedState.SUSPENDED
        desired = _by_controller(look.seen.desired, look.seen.now, decision.message, state=wanted)
        changes: dict[str, Any] = {"parking": False, "waking": ""}
        if wanted is WantedState.SUSPENDED:
            changes["suspended_for"] = decision.reason
        self.writer.enter(look, decision, changes, desired=desired)

    def restart(self, look: Look, decision: Decision) -> None:
        """Nomad ends the processes, by force after their time to finish, and starts others."""
        stuck = stuck_steps(look.seen)
        version = _required(look).ref
        for alloc in self.clients.nomad.allocations(version.workspace, version.job_id):
            if alloc.group in stuck and alloc.client_status == "running" and alloc.desired_status == "run":
                self.clients.nomad.stop_alloc(version.workspace, alloc.id)
        self.writer.update(look, {}, decision)

    def drop(self, look: Look, decision: Decision) -> None:
        dropped = 0
        for number in _numbers(look):
            version = self.versions.get(self.clients.store, look.seen.ref.version(number))
            dropped += self.clients.broker.purge(version.ref, [step.id for step in version.steps])
        changes = {"dropped": look.seen.status.dropped + dropped, "input_version": 0}
        self.writer.update(look, changes, decision)

    # ── publish ───────────────────────────────────────────────────────────────────────────────────────────

    def replace(self, look: Look, decision: Decision) -> None:
        """From here on new input waits in the new version's queues."""
        new = self._desired_version(look)
        resolved = new.resolve(self.clients.store)
        self._delete_unused(look, new.ref.number)
        self.deployment.prepare(new, resolved)
        old = look.seen.status.version
        if new.ref.number < old:  # it had left its rebounds to the one that it follows now, which both would get
            self.clients.broker.move_rebounds(look.seen.ref.version(old), new.ref)
        last_ready = look.seen.status.came_from or old  # one replaced before it was ready is nothing to go back to
        self.hooks.due_if_new(look.seen.ref.version(old), new, resolved)
        self.wake_fed(look.seen.ref.version(old), False)
        self.writer.enter(
            look,
            decision,
            {
                "version": new.ref.number,
                "input_version": new.ref.number,
                "replacing": old,
                "came_from": 0 if last_ready == new.ref.number else last_ready,
                "incoming": 0,
                "incoming_ready": {},
                "components": resolved,
                "job_index": 0,
                "parking": False,
                "waking": "",
            },
        )

    def fall_back(self, look: Look, decision: Decision) -> None:
        """Want the version before again; the next look replaces this one by it, messages and all."""
        before = look.seen.status.came_from
        desired = _by_controller(look.seen.desired, look.seen.now, decision.message, version=before)
        self.writer.enter(look, decision, {}, desired=replace(desired, strategy="replace"))

    def hand_over(self, look: Look, decision: Decision) -> None:
        """Written down before it is begun: whoever comes next knows then that there is a version to be taken down."""
        new, status = self._desired_version(look), look.seen.status
        if not status.incoming:
            self._delete_unused(look, new.ref.number)
            resolved = new.resolve(self.clients.store)
            self.hooks.due_if_new(look.seen.ref.version(status.version), new, resolved)
            begun = {"incoming": new.ref.number, "incoming_components": resolved, "incoming_ready": {}}
            self.writer.update(look, begun, decision)
            return
        counts = warming(look.seen, replicas(new.steps, look.seen.desired.scale))
        job = self.clients.nomad.job(new.ref.workspace, new.ref.job_id)
        if job is not None and not job.stopped and set(job.counts) == set(counts):
            self.clients.nomad.register_counts(job, counts)
        else:
            self.deployment.set_up(new, look.seen.kind, status.incoming_components, counts)
        if (ready := incoming_ready(look.seen)) != status.incoming_ready:
            self.writer.update(look, {"incoming_ready": ready}, None)

    def switch(self, look: Look, decision: Decision) -> None:
        status = look.seen.status
        new = self.versions.get(self.clients.store, look.seen.ref.version(status.incoming))
        job = look.seen.incoming.job if look.seen.incoming else None
        self.writer.enter(
            look,
            decision,
            {
                "version": status.incoming,
                "input_version": status.incoming,
                "replacing": status.version,
                "incoming": 0,
                "components": status.incoming_components,
                "incoming_components": {},
                "incoming_ready": {},
                "job_index": job.modify_index if job else 0,
                "warm_up_s": _elapsed(look.seen.desired.at, look.seen.now),
                "steps": incoming_steps(look.seen, new.steps),
            },
        )

    def roll_back(self, look: Look, decision: Decision) -> None:
        """The version that did not come up is retired; it never had input, so nothing moves."""
        status, wish = look.seen.status, look.seen.desired
        desired = None
        if wish.version == status.incoming and wish.state is WantedState.RUNNING:
            desired = _by_controller(look.seen.desired, look.seen.now, decision.message, version=status.version)
        self.writer.enter(
            look,
            decision,
            {"replacing": status.incoming, "incoming": 0, "incoming_components": {}, "incoming_ready": {}},
            desired=desired,
        )

    def retire_down(self, look: Look, _decision: Decision) -> None:
        self.deployment.stop(look.seen.ref.version(look.seen.status.replacing))

    def retire(self, look: Look, decision: Decision) -> None:
        old = self.versions.get(self.clients.store, look.seen.ref.version(look.seen.status.replacing))
        self.clients.broker.close_input(old.ref)  # a late publisher must not put anything behind what is moved now
        try:
            moved, dead = self.deployment.move_leftovers(old, _required(look))
        except QueueFull:
            job = look.seen.current.job
            if job is not None and not job.is_parked:
                raise
            self.bring_up(look, replace(decision, reason="Starting"))  # only a version at work makes room for the rest
            return
        self.deployment.delete(old.ref)
        note = f" ({moved} messages moved" + (f", {dead} to the dead queue: their step is gone)" if dead else ")")
        self.writer.update(look, {"replacing": 0}, replace(decision, message=decision.message + note))

    def _desired_version(self, look: Look) -> Version:
        return self.versions.get(self.clients.store, look.seen.ref.version(look.seen.desired.version))


def _required(look: Look) -> Version:
    assert look.version is not None, "this act is only decided for a flow with a version"
    return look.version


def _numbers(look: Look) -> list[int]:
    status = look.seen.status
    return sorted({n for n in (status.version or look.seen.current.number, status.replacing, status.incoming) if n})


def _elapsed(since: str, now: datetime) -> float:
    return round((now - parse_timestamp(since)).total_seconds(), 3) if since else 0.0


def _by_controller(
    desired: Desired, now: datetime, why: str, *, state: WantedState | None = None, version: int | None = None
) -> Desired:
    return replace(
        desired,
        state=state or desired.state,
        version=desired.version if version is None else version,
        generation=desired.generation + 1,
        by="controller",
        at=timestamp(now),
        why=why,
        drain=False,
        force=False,
    )


_OF: Final[dict[Act, _ActFunction]] = {
    Act.ENTER: Acts.enter,
    Act.START: Acts.start,
    Act.BRING_UP: Acts.bring_up,
    Act.PREPARE_PARK: Acts.prepare_park,
    Act.PARK: Acts.park,
    Act.WAKE: Acts.wake,
    Act.SCALE: Acts.scale,
    Act.STOP_JOB: Acts.stop_job,
    Act.RUN_SHUTDOWN: Acts.run_shutdown,
    Act.CLEAN_UP: Acts.clean_up,
    Act.INTERVENE: Acts.intervene,
    Act.RESTART: Acts.restart,
    Act.DROP: Acts.drop,
    Act.REPLACE: Acts.replace,
    Act.HAND_OVER: Acts.hand_over,
    Act.SWITCH: Acts.switch,
    Act.ROLL_BACK: Acts.roll_back,
    Act.FALL_BACK: Acts.fall_back,
    Act.RETIRE: Acts.retire,
    Act.RETIRE_DOWN: Acts.retire_down,
}

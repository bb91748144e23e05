"""The hooks of a flow's first step: start-up once at the flow's start, shutdown once after its stop.

The start-up hook is run by the step's own first process, which asks Vault (through Nomad's template) whether it is
due. What it returned is kept in Consul by the component API until the shutdown hook has had it; with that the API takes
back that it is due, so neither a restart nor a wake runs it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from nomadflows.clients import Clients
from nomadflows.controller.versions import Version, Versions
from nomadflows.model.errors import InputError, NotFound, ServerRefused
from nomadflows.model.graph import RunStep
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import utc_now
from nomadflows.plan.seen import HookSeen, Seen
from nomadflows.render.once import render_shutdown
from nomadflows.render.site import Site
from nomadflows.store.keys import STARTUP
from nomadflows.store.store import Store
from nomadflows.store.transaction import Delete

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HookActs:
    """What the controller does for the hooks. Each may be repeated."""

    versions: Versions
    clients: Callable[[], Clients]  # asked for before each call: LostLeadership once another leads
    site: Site

    def due(self, version: Version, resolved: Mapping[str, str]) -> None:
        """The flow starts: its first step's next process runs the hook."""
        if self._has(version, resolved):
            self.clients().vault.require_startup(version.ref, required=True)

    def due_if_new(self, old: VersionRef, version: Version, resolved: Mapping[str, str]) -> None:
        """A version takes over: what the hook made for the same first step still serves."""
        before = self.versions.get(self.clients().store, old).trigger
        if _work(before) != _work(version.trigger):
            self.due(version, resolved)

    def run_shutdown(self, version: Version, resolved: Mapping[str, str]) -> None:
        """Order the job. What refuses it must not keep a flow from being stopped."""
        step = version.trigger
        try:
            component = self.versions.components(self.clients().store, {step.id: resolved[step.id]})[step.id]
            job = self.clients().nomad.parse(render_shutdown(version.ref, step, component, self.site))
            self.clients().vault.ensure_role(version.ref, sorted({s.credential for s in version.steps if s.credential}))
            self.clients().nomad.register(job, 0)
        except (NotFound, InputError, ServerRefused) as error:
            log.warning("a shutdown hook cannot run", version=str(version.ref), error=error.message)
            self.forget(version.ref)

    def ended(self, version: Version, resolved: Mapping[str, str]) -> None:
        """The flow is stopped: nothing of its hooks is left, whether they ran or not."""
        if self._has(version, resolved):
            self.forget(version.ref)

    def forget(self, ref: VersionRef) -> None:
        """The job of the shutdown hook, and what the start-up hook had returned."""
        self.clients().nomad.deregister(ref.workspace, ref.shutdown_job, purge=True)
        store = self.clients().store
        store.transact([Delete(store.keys.flow(ref.ref, STARTUP))])

    def _has(self, version: Version, resolved: Mapping[str, str]) -> bool:
        return has_hooks(self.versions, self.clients().store, version, resolved)


def _work(step: RunStep) -> tuple[object, ...]:
    return step.use, step.pinned, step.function, step.config, step.credential


def see_hook(seen: Seen, version: Version, clients: Clients, versions: Versions) -> HookSeen | None:
    """None unless a start-up hook ran whose shutdown hook did not."""
    if not has_hooks(versions, clients.store, version, seen.status.components):
        return None
    if not startup_kept(clients.store, seen.ref):
        return None
    job = clients.nomad.job(version.ref.workspace, version.ref.shutdown_job)
    if job is None:
        return HookSeen()
    allocations = clients.nomad.allocations(version.ref.workspace, version.ref.shutdown_job)
    ended = bool(allocations) and all(a.client_status not in {"pending", "running"} for a in allocations)
    age_s = utc_now().timestamp() - job.raw.get("SubmitTime", 0) / 1e9
    return HookSeen(age_s, ended)


def has_hooks(versions: Versions, store: Store, version: Version, resolved: Mapping[str, str]) -> bool:
    """Whether the component of the first step has any. One that is gone has none that could run, and keeps no flow from
    being stopped."""
    step = version.trigger
    if step.id not in resolved:
        return False
    try:
        component = versions.components(store, {step.id: resolved[step.id]})[step.id]
    except NotFound:
        return False
    return step.function in component.hooks


def startup_kept(store: Store, ref: FlowRef) -> bool:
    return store.client.get(store.keys.flow(ref, STARTUP)) is not None

"""Everything that runs while this controller leads, and stops when it does not any more."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog

from nomadflows.artifact.shelf import Shelf
from nomadflows.broker.address import Address
from nomadflows.broker.listener import SnapshotListener, WakeListener
from nomadflows.builtin import builtin_components, builtin_dir
from nomadflows.clients import per_thread
from nomadflows.controller import metrics
from nomadflows.controller.reconciler import EXPECTED, Reconciler
from nomadflows.controller.scheduler import Scheduler
from nomadflows.controller.shelf import ForgottenArtifacts
from nomadflows.controller.signals import Inbox, NomadEvents, Resync, Sweep
from nomadflows.controller.versions import Versions
from nomadflows.controller.workqueue import AWAY_BACKOFF_S, LAST_BACKOFF_S, WorkQueue
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NomadflowsError, ServerUnreachable
from nomadflows.model.names import VersionRef
from nomadflows.plan.seen import Rules
from nomadflows.render.site import Site
from nomadflows.settings import Settings
from nomadflows.store import components
from nomadflows.store.leadership import Leadership
from nomadflows.store.transaction import LostLeadership

log = structlog.get_logger()

WORKERS: Final = 8


class Leader:
    """Started on gaining the lock, closed on losing it. Makes all its threads itself."""

    def __init__(self, settings: Settings, fence: Leadership) -> None:
        self._settings = settings
        self._fence = fence
        self._clients = per_thread(settings)
        self._queue = WorkQueue()
        self._versions = Versions()
        self._workspaces: set[str] = set()
        self._workspaces_lock = threading.Lock()
        self._scheduler = Scheduler(
            self._clients, self._queue.add, lambda: fence.is_leader, jitter_s=settings.tick_jitter
        )
        rules = Rules(
            deaf_after_s=settings.deaf_after,
            stalled_after_s=settings.stalled_after,
            shutdown_s=settings.shutdown_after,
            limited_ttl_s=settings.limited_ttl,
        )
        self._reconciler = Reconciler(
            self._clients, fence, self._scheduler, site(settings), self._feed_wake, rules, self._versions
        )
        self._wakes = WakeListener(settings.amqp_uri, self._message)
        self._snapshots = SnapshotListener(settings.amqp_uri, self._snapshot)
        self._sources = [
            Resync(self._clients, self._queue, self._workspace, fence, settings.full_round_every),
            Inbox(self._clients, self._queue, self._versions, self._scheduler, fence),
            NomadEvents(self._clients, self._queue),
            Sweep(self._clients, self._queue, self._known_workspaces),
            *([ForgottenArtifacts(self._clients, Shelf(settings.artifact_folder))] if settings.keeps_artifacts else []),
        ]
        self._workers = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(WORKERS)]

    def start(self) -> None:
        metrics.LEADER.set(1)
        self._register_components()
        self._wakes.start()
        self._snapshots.start()
        self._scheduler.start()
        for worker in self._workers:
            worker.start()
        for source in self._sources:
            source.start()

    def close(self) -> None:
        """Finish the acts in work, then end. What was not done is for the next leader. A `start` that failed may have left
        some threads that never ran."""
        metrics.LEADER.set(0)
        for source in self._sources:
            source.close()
        self._queue.close()
        self._scheduler.close()
        self._wakes.stop()
        self._snapshots.stop()
        deadline = time.monotonic() + 5
        for worker in self._workers:
            if worker.is_alive():
                worker.join(max(0.0, deadline - time.monotonic()))
        self._reconciler.close()

    def ended_threads(self) -> list[str]:
        """Those that should run until `close` and do not."""
        threads = [*(source.thread for source in self._sources), *self._scheduler.threads, *self._workers]
        return [thread.name for thread in threads if not thread.is_alive()]

    def _work(self) -> None:
        while taken := self._queue.take():
            ref, hints = taken
            metrics.WAITING.set(len(self._queue))
            metrics.LAG.set(self._queue.lag_s)
            began = time.monotonic()
            outcome = "failed"
            try:
                again = self._reconciler.work(ref, hints)
            except LostLeadership:
                log.info("no longer the leader", flow=str(ref))
                self._queue.failed(ref, hints)
            except EXPECTED as error:
                delay = self._queue.failed(ref, hints)
                log.info("looked again", flow=str(ref), why=str(error), seconds=round(delay, 2))
            except NomadflowsError as error:
                longest = AWAY_BACKOFF_S if isinstance(error, ServerUnreachable) else LAST_BACKOFF_S
                delay = self._queue.failed(ref, hints, longest)
                log.warning("a server failed", flow=str(ref), error=str(error), again_in_s=round(delay, 2))
            except Exception:
                delay = self._queue.failed(ref, hints)
                log.exception("a look failed", flow=str(ref), again_in_s=round(delay, 2))
            else:
                outcome = "done"
                self._queue.done(ref, again)
            metrics.LOOK.labels(outcome).observe(time.monotonic() - began)

    def _known_workspaces(self) -> list[str]:
        with self._workspaces_lock:
            return sorted(self._workspaces)

    def _workspace(self, workspace: str) -> None:
        """A workspace that has flows has a vhost with what they share. It is listened to even if that is not whole."""
        try:
            self._clients().broker.ensure_vhost(workspace)
        finally:
            self._wakes.watch(workspace)
            self._snapshots.watch(workspace)
            with self._workspaces_lock:
                self._workspaces.add(workspace)

    def _feed_wake(self, version: VersionRef, fed: bool) -> None:
        if version.workspace not in self._known_workspaces():
            self._workspace(version.workspace)
        broker = self._clients().broker
        if fed:
            broker.feed_wake(version)
        else:
            broker.unfeed_wake(version)

    def _message(self, workspace: str, exchange: str) -> None:
        version = VersionRef.parse_job(workspace, exchange)
        if version is not None:
            self._queue.add(version.ref, "message")

    def _snapshot(self, version: VersionRef, step: str, kind: str, data: Any, _headers: Any) -> None:
        """Store what a step wants to remember; `updateSnapshot` is a shallow merge. Raises to get it again."""
        store = self._clients().store
        if store.flow(version.ref) is None:
            log.warning("a snapshot of a flow that is gone was dropped", flow=str(version.ref), step=step)
            return
        before = store.snapshot(version.ref, step)
        value = {**before.value, **data} if before and kind == "updateSnapshot" else data
        store.put_snapshot(version.ref, step, value, cas=before.index if before else 0, fence=self._fence)

    def _register_components(self) -> None:
        for component in builtin_components():
            if components.record_builtin(self._clients().store, component, self._fence):
                log.warning("a built-in component has other code under the same version", component=component.ref)


def site(settings: Settings) -> Site:
    """What a job spec needs to know of this cluster."""
    return Site(
        component_api=settings.component_api,
        component_dir=lambda component: component_dir(component, settings.cache_folder),
        artifacts=settings.fetched_artifacts,
        fetched_by_nomad=settings.component_fetch == "nomad",
        component_keep_days=settings.component_keep_days,
        log_mb=settings.step_log_mb,
        disk_mb=settings.step_disk_mb,
        amqp=_amqp_of_steps(settings),
        driver=settings.step_driver,
        builtin_image=settings.builtin_image,
        network=settings.step_network,
        container_user=settings.container_user,
        python=settings.step_python,
        node=settings.step_node,
        kv_mount=settings.kv_mount,
        webhooks=settings.gateway_url,
        datacenters=tuple(settings.datacenters.split(",")),
    )


def _amqp_of_steps(settings: Settings) -> str:
    """The broker as the nodes see it, without a user."""
    scheme, _, own = str(Address.parse(settings.amqp_uri)).partition("://")
    return f"{scheme}://{settings.steps_amqp_addr or own}"


def component_dir(component: ComponentVersion, cache: Path) -> str:
    """The folder of a component on the nodes."""
    if name := component.location.get("builtin"):
        return str(builtin_dir(name))
    if artifact := component.location.get("artifact"):
        return str(cache / component.name / f"{component.version}-{artifact[:12]}")
    return str(component.location["path"])

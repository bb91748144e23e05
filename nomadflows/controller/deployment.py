"""One version on the servers: its job, its queues and account, its secret and role. All of it may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from nomadflows.broker.astray import route_again
from nomadflows.broker.faults import QueueFull
from nomadflows.clients import Clients
from nomadflows.controller.versions import Version, Versions, credentials_of
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import Conflict, Refused, ServerUnreachable
from nomadflows.model.names import VersionRef, input_key
from nomadflows.model.states import Kind
from nomadflows.plan.seen import Seen
from nomadflows.render.job import render_job
from nomadflows.render.site import Site

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deployment:
    """Shared by the worker threads."""

    versions: Versions
    site: Site
    aside: ThreadPoolExecutor  # for calls to different servers that need not wait for each other
    leading: Callable[[], Clients]  # LostLeadership once another leads

    @property
    def clients(self) -> Clients:
        """Those of the calling thread, for the next call. Never kept: that this controller still leads is looked at
        right before each call, since RabbitMQ and Vault do not ask for it."""
        return self.leading()

    # ── up ────────────────────────────────────────────────────────────────────────────────────────────────

    def set_up(self, version: Version, kind: Kind, resolved: Mapping[str, str], counts: Mapping[str, int]) -> int:
        """Secrets, role, queues and the job, whose index is the answer. The servers are independent, so they work at the
        same time; the job comes last, since its processes need the others."""
        components = self.versions.components(self.clients.store, resolved)
        preparing = self.aside.submit(self._prepare, version, components)
        rendered = self._rendered(version, kind, components, counts)
        preparing.result()
        return self._register(version.ref, *rendered)

    def prepare(self, version: Version, resolved: Mapping[str, str]) -> None:
        """All but the job."""
        self._prepare(version, self.versions.components(self.clients.store, resolved))

    def scale(self, version: Version, seen: Seen, counts: Mapping[str, int]) -> int:
        """All groups in one registration. The job as Nomad has it, unless a stranger changed it."""
        job, status = self.clients.nomad.job(version.ref.workspace, version.ref.job_id), seen.status
        if (
            job is None
            or job.stopped
            or status.job_index not in {0, job.modify_index}
            or set(job.counts) != set(counts)
        ):
            components = self.versions.components(self.clients.store, status.components)
            return self._register(version.ref, *self._rendered(version, seen.kind, components, counts))
        return self.clients.nomad.register_counts(job, counts)

    def _prepare(self, version: Version, components: Mapping[str, ComponentVersion]) -> None:
        """What the processes of a version find when they start: their secret and role, their user and queues."""
        secret = self.clients.vault.version_secret(version.ref)
        self.clients.vault.ensure_role(version.ref, credentials_of(version, components))
        self.clients.broker.ensure_vhost(version.ref.workspace)
        self.clients.broker.declare(version.ref, version.topology)
        self.clients.broker.ensure_user(version.ref, secret.amqp_password, [step.id for step in version.steps])

    def _rendered(
        self, version: Version, kind: Kind, components: Mapping[str, ComponentVersion], counts: Mapping[str, int]
    ) -> tuple[dict[str, object], str]:
        """The job as Nomad reads it, and its text."""
        hcl = render_job(version.ref, kind, version.digest, version.steps, components, counts, self.site)
        self.clients.nomad.ensure_namespace(version.ref.workspace)
        return self.clients.nomad.parse(hcl), hcl

    def _register(self, ref: VersionRef, job: dict[str, object], hcl: str) -> int:
        present = self.clients.nomad.job(ref.workspace, ref.job_id)
        return self.clients.nomad.register(job, present.modify_index if present else 0, source=hcl)

    # ── messages that wait elsewhere ──────────────────────────────────────────────────────────────────────

    def route_again(self, version: Version) -> None:
        """What came while a queue or a binding was missing. What its queue refuses stays with the unrouted ones."""
        try:
            count = route_again(self.clients.broker, version.ref, version.topology)
        except Refused as error:
            log.warning("messages stay unrouted", flow=str(version.ref.ref), why=error.message)
        else:
            if count:
                log.info("unrouted messages were published again", flow=str(version.ref.ref), count=count)

    def bring_back(self, ref: VersionRef) -> None:
        """Rebounds that were set aside while the flow was suspended. What does not fit yet is tried again at a full
        round, which sees them as drift."""
        try:
            self.clients.broker.bring_back(ref)
        except QueueFull as error:
            log.info("rebounds stay aside", flow=str(ref.ref), why=error.message)

    def move_leftovers(self, old: Version, new: Version) -> tuple[int, int]:
        kept = {step.id for step in new.steps}
        moved, dead = self.clients.broker.move_rebounds(old.ref, new.ref), 0
        for step in old.steps:
            if step.id in kept:
                moved += self.clients.broker.move(
                    old.ref.workspace, old.ref.queue(step.id), new.ref.exchange, input_key(step.id)
                )
            else:
                dead += self.clients.broker.move(old.ref.workspace, old.ref.queue(step.id), "", old.ref.ref.dead_queue)
        return moved + dead, dead

    # ── down ──────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, ref: VersionRef) -> None:
        """By a registration, since that can insist on the index it has read; a deregistration cannot, and would let
        a deposed controller stop what its successor has started."""
        job = self.clients.nomad.job(ref.workspace, ref.job_id)
        if job is not None and not job.stopped:
            self.clients.nomad.register({**job.raw, "Stop": True}, job.modify_index)

    def delete(self, ref: VersionRef) -> int:
        """Everything a version left in Nomad, RabbitMQ and Vault; how many messages went with it. What Vault
        still holds while it is away is harmless (the job it is bound to is gone) and must not keep a flow from
        being stopped."""
        job = self.clients.nomad.job(ref.workspace, ref.job_id)
        if job is not None and not job.stopped:
            raise Conflict(f"job {ref.job_id} was started meanwhile")
        self.clients.nomad.deregister(ref.workspace, ref.job_id, purge=True)
        try:
            version = self.versions.get(self.clients.store, ref)
        except Refused:
            return 0
        dropped = self.clients.broker.delete_version(ref, version.topology)
        try:
            self.clients.vault.delete_version(ref)
        except ServerUnreachable as error:
            log.warning("left a role in Vault", version=str(ref), error=str(error))
        return dropped

"""Which flows a full round looks at: all but those of which a few listings show that they are as they were left.

One listing each of Nomad's jobs and Vault's roles, and for each workspace of its queues, bindings and permissions. What a
version needs is worked out once and kept as marks, since versions never change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from nomadflows.broker.standing import Marks, needed
from nomadflows.clients import Clients
from nomadflows.controller.drift import expected
from nomadflows.controller.versions import Versions
from nomadflows.model.errors import InputError, NomadflowsError, Refused, ServerRefused
from nomadflows.model.names import VersionRef
from nomadflows.model.states import FlowState
from nomadflows.plan.sweep import holding, is_quiet
from nomadflows.store.documents import FlowRecord

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Workspace:
    """What its vhost has."""

    holding: Mapping[str, AbstractSet[str]]
    standing: AbstractSet[int]


class Rounds:
    """Belongs to the thread of the full rounds."""

    def __init__(self, clients: Callable[[], Clients]) -> None:
        self._clients = clients
        self._needed: dict[VersionRef, Marks] = {}

    def unquiet(self, records: list[FlowRecord]) -> list[FlowRecord]:
        clients = self._clients()
        jobs = {(job.namespace, job.id): job.modify_index for job in clients.nomad.jobs() if not job.stopped}
        workspaces = {name: self._workspace(name) for name in {record.ref.workspace for record in records}}
        roles = self._roles()
        found = []
        for record in records:
            desired, status = record.desired.value, record.status.value
            version = record.ref.version(status.version or desired.version)
            workspace = workspaces[version.workspace]
            if workspace is None:
                found.append(record)
                continue
            index = jobs.get((version.workspace, version.job_id))
            queued = workspace.holding.get(version.job_id, frozenset())
            whole = status.state is not FlowState.SLEEPING or (
                (roles is None or version.vault_role in roles) and self._stands(version, workspace.standing)
            )
            if not is_quiet(desired, status, index, queued, whole=whole):
                found.append(record)
        self._forget({record.ref.version(record.status.value.version) for record in records})
        return found

    def _workspace(self, name: str) -> _Workspace | None:
        """None: it does not tell, so each of its flows is looked at; those of other workspaces are not held up by that."""
        broker = self._clients().broker
        try:
            totals = broker.workspace_totals(name)
            standing = broker.standing(name, totals)
        except (Refused, ServerRefused) as error:
            log.warning("a workspace is not listed in this round", workspace=name, error=str(error))
            return None
        return _Workspace(holding({queue: q.ready for queue, q in totals.items()}), standing)

    def _roles(self) -> set[str] | None:
        """None: Vault does not say. Nothing is held up by that; a flow that wakes says what it misses."""
        try:
            return self._clients().vault.roles()
        except NomadflowsError as error:
            log.warning("roles are not compared in this round", error=str(error))
            return None

    def _stands(self, ref: VersionRef, standing: AbstractSet[int]) -> bool:
        """Whether a parked version finds all it needs on the broker when it is woken."""
        if ref not in self._needed:
            try:
                version = Versions().get(self._clients().store, ref)  # needed once: not worth remembering
            except (Refused, InputError):  # it is gone, or spoilt by hand
                return False
            steps = [step.id for step in version.steps]
            self._needed[ref] = needed(ref, expected(version, FlowState.SLEEPING), steps)
        return all(mark in standing for mark in self._needed[ref])

    def _forget(self, present: AbstractSet[VersionRef]) -> None:
        """Versions that are no flow's any more: one of the same name may be another later."""
        self._needed = {ref: marks for ref, marks in self._needed.items() if ref in present}

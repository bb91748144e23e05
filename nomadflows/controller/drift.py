"""What somebody changed of an active version on the broker and in Vault. The controller puts it right, `flow plan`
shows it; the job is not looked at here, since Nomad's index tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nomadflows.broker.broker import Broker
from nomadflows.broker.topology import Binding, Exchange, Queue, Topology, fed
from nomadflows.controller.versions import Version, credentials_of
from nomadflows.model.component import ComponentVersion
from nomadflows.model.states import FlowState
from nomadflows.vault.client import Vault


@dataclass(frozen=True, slots=True)
class Drift:
    """In words, by where it is."""

    queues: tuple[str, ...] = ()  # exchanges, queues and bindings that are missing
    altered: tuple[str, ...] = ()  # those that are others than published, which only a new version mends
    user: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()

    @property
    def repairable(self) -> tuple[str, ...]:
        return self.queues + self.user + self.policy


def expected(version: Version, state: FlowState) -> Topology:
    """What is to be there while the flow is in this state: messages for a parked one are told to the controller too."""
    return fed(version.topology, version.ref) if state is FlowState.SLEEPING else version.topology


def drift(
    broker: Broker, vault: Vault, version: Version, wanted: Topology, components: Mapping[str, ComponentVersion]
) -> Drift:
    found = broker.drift(version.ref, wanted)
    return Drift(
        tuple(f"{_name(item)} missing" for item in found.missing),
        tuple(f"{_name(item)} has other arguments than published" for item in found.altered),
        _user(broker, version),
        (f"Vault role {version.ref.vault_role} differs",)
        if vault.role_differs(version.ref, credentials_of(version, components))
        else (),
    )


def _user(broker: Broker, version: Version) -> tuple[str, ...]:
    user = version.ref.broker_user
    if broker.management.user(user) is None:
        return (f"broker user {user} missing",)
    if not broker.has_rights(version.ref, [step.id for step in version.steps]):
        return (f"broker user {user} has other rights than it should",)
    return ()


def _name(item: Exchange | Queue | Binding) -> str:
    if isinstance(item, Binding):
        return f"binding of {item.destination} to {item.key or item.source}"
    return f"{type(item).__name__.lower()} {item.name}"

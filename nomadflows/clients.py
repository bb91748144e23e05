"""Clients of the four servers, as the settings say. A set for each thread: a pika connection belongs to its thread, the
others keep theirs alive.

A client is imported when it is made: a command pays for the servers it speaks to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each costs more to import than a command may take to start
    from nomadflows.broker.broker import Broker
    from nomadflows.cluster.client import Nomad
    from nomadflows.settings import Settings
    from nomadflows.store.store import Store
    from nomadflows.vault.client import Vault


@dataclass(frozen=True, slots=True)
class Clients:
    """The four servers, as one thread speaks to them."""

    store: Store
    nomad: Nomad
    vault: Vault
    broker: Broker


def connect(settings: Settings) -> Clients:
    """Make clients; nothing is sent before the first call."""
    return Clients(consul(settings), nomad(settings), vault(settings), rabbitmq(settings))


def per_thread(settings: Settings) -> Callable[[], Clients]:
    """A function that gives each calling thread its own clients."""
    local = threading.local()

    def clients() -> Clients:
        found: Clients | None = getattr(local, "clients", None)
        if found is None:
            found = local.clients = connect(settings)
        return found

    return clients


def consul(settings: Settings) -> Store:
    from nomadflows.store.store import Store

    return Store(
        settings.consul_addr,
        settings.consul_token,
        prefix=settings.kv_prefix,
        cacert=settings.consul_cacert,
        timeout=settings.timeout,
    )


def nomad(settings: Settings) -> Nomad:
    from nomadflows.cluster.client import Nomad

    return Nomad(settings.nomad_addr, settings.nomad_token, settings.nomad_cacert, settings.timeout)


def vault(settings: Settings) -> Vault:
    from nomadflows.vault.client import Vault

    return Vault(
        settings.vault_addr,
        settings.vault_token,
        mount=settings.kv_mount,
        auth_mount=settings.vault_auth_mount,
        cacert=settings.vault_cacert,
        timeout=settings.timeout,
    )


def rabbitmq(settings: Settings) -> Broker:
    from nomadflows.broker.broker import Broker

    return Broker(settings.amqp_uri, settings.rabbitmq_api, settings.timeout)

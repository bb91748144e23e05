"""Everything that step processes and nodes ask over HTTP, for whichever process serves it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import Route

from nomadflows.artifact.shelf import Shelf
from nomadflows.clients import Clients
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.artifacts import Artifacts
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.gateway.objects import Objects
from nomadflows.objects.store import ObjectStore
from nomadflows.settings import Settings
from nomadflows.vault.client import Vault


def object_store(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.object_folder, settings.object_bytes)


def addresses(settings: Settings, clients: Callable[[], Clients]) -> Addresses:
    return Addresses(lambda: clients().vault, settings.component_api)


def step_routes(settings: Settings, clients: Callable[[], Clients]) -> list[Route]:
    """The component API, the object store and the artifact store. `clients` gives those of the calling thread."""

    def vault() -> Vault:
        return clients().vault

    at = addresses(settings, clients)
    api = ComponentApi(
        lambda: clients().store, vault, lambda: clients().broker, addresses=at, object_ttl_s=settings.object_ttl
    )
    objects = Objects(object_store(settings), at, vault, settings.object_ttl)
    return [*api.routes, *objects.routes, *Artifacts(Shelf(settings.artifact_folder), vault).routes]

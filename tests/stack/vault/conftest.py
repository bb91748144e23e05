"""The vault of the local stack; each test in a workspace of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import hvac
import pytest
import requests

from nomadflows import clients
from nomadflows.model.names import VersionRef
from nomadflows.settings import Settings
from nomadflows.vault import Vault


@pytest.fixture
def vault(stack: Settings) -> Vault:
    return clients.vault(stack)


@pytest.fixture
def bare(stack: Settings) -> Iterator[hvac.Client]:
    """An administrator's view, past our own client."""
    with requests.Session() as session:
        yield hvac.Client(url=stack.vault_addr, token=stack.vault_token, session=session)


@pytest.fixture
def workspace() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def version(workspace: str, vault: Vault) -> Iterator[VersionRef]:
    made = VersionRef(workspace, "orders", 1)
    yield made
    vault.delete_version(made)
    vault.delete_flow(made.ref)

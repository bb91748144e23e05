"""Every operation of the REST API."""

from __future__ import annotations

from typing import Final

from nomadflows.gateway.rest import components, credentials, flows, snapshots, states, versions, workspaces
from nomadflows.gateway.rest.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *flows.OPERATIONS,
    *states.OPERATIONS,
    *versions.OPERATIONS,
    *snapshots.OPERATIONS,
    *components.OPERATIONS,
    *credentials.OPERATIONS,
    *workspaces.OPERATIONS,
)

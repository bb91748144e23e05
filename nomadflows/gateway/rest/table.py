"""Every operation of the REST API."""

from __future__ import annotations

from typing import Final

from nomadflows.gateway.rest import flows, states
from nomadflows.gateway.rest.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (*flows.OPERATIONS, *states.OPERATIONS)

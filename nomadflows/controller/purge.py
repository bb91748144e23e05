"""The end of deleted flows: what their servers hold of them is removed, then their documents.

In this order, since afterwards nobody knows that they ever were. Each part may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from nomadflows.clients import Clients
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.names import FlowRef
from nomadflows.model.requests import is_expired
from nomadflows.model.states import utc_now
from nomadflows.store.deletion import purge
from nomadflows.store.transaction import Fence, LostLeadership

log = structlog.get_logger()


def purge_expired(clients: Clients, refs: Iterable[FlowRef], fence: Fence) -> None:
    """Those of the deleted flows whose time to be restored is over. One that cannot be removed is tried again at the
    next full round, and keeps no other from being removed."""
    for ref in refs:
        try:
            _purge_if_expired(clients, ref, fence)
        except LostLeadership:
            raise
        except NomadflowsError as error:
            log.warning("a deleted flow could not be removed, tried again later", flow=str(ref), error=str(error))


def _purge_if_expired(clients: Clients, ref: FlowRef, fence: Fence) -> None:
    mark = clients.store.deleted_flow(ref)
    if mark is None or not is_expired(mark.value, utc_now()):
        return
    fence.held()
    dropped = clients.broker.delete_flow(ref)
    for document in clients.store.versions(ref):
        clients.vault.delete_version(ref.version(int(document["number"])))
    clients.vault.delete_flow(ref)
    purge(clients.store, ref, mark, fence=fence)
    log.info("a deleted flow was removed for good", flow=str(ref), deleted=mark.value.at, errors_and_dead=dropped)

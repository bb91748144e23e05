"""What a flow's `startup` hook returned, kept from its start to its `shutdown` hook.

It may hold what opens another system (the secret of a subscription), so it is kept as messages are, under the key of
the flow. The contract's dance: a second POST is refused with 409, upon which the component deletes and posts again.
"""

from __future__ import annotations

import json
from typing import Any, Final

from nomadflows.broker.wire import Crypto, decrypt_json, encrypt_text
from nomadflows.model.errors import InputError, NotFound
from nomadflows.model.names import FlowRef
from nomadflows.store.keys import META, STARTUP
from nomadflows.store.store import Store
from nomadflows.store.transaction import Delete, Exists, Set

_LARGEST: Final = 262_144  # Consul takes half a MiB as one value


def keep(store: Store, crypto: Crypto, ref: FlowRef, body: bytes, content_type: str) -> None:
    """Conflict if there is one already. The library sends texts, and nothing at all, as a form: kept as a text."""
    if len(body) > _LARGEST:
        raise InputError(f"a start-up state of {len(body)} bytes is over {_LARGEST}")
    try:
        value = json.loads(body) if content_type.startswith("application/json") else body.decode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON in UTF-8: {error}") from error
    state = {"encrypted": encrypt_text(crypto, {"state": value if body else {}})}
    store.transact([Exists(store.keys.flow(ref, META)), Set(store.keys.flow(ref, STARTUP), state, cas=0)])


def kept(store: Store, crypto: Crypto, ref: FlowRef) -> Any:
    """NotFound if the hook never returned."""
    entry = store.client.get(store.keys.flow(ref, STARTUP))
    if entry is None:
        raise NotFound("there is no start-up state")
    return decrypt_json(crypto, json.loads(entry.value)["encrypted"].encode(), protocol=1)["state"]


def drop(store: Store, ref: FlowRef) -> None:
    """Also if there is none."""
    store.transact([Delete(store.keys.flow(ref, STARTUP))])

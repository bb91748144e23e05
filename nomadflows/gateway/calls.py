"""What a component answered to a question outside a flow, kept in Consul until who asked has read it."""

from __future__ import annotations

import json
from typing import Any, Final

from nomadflows.model.errors import InputError
from nomadflows.model.names import VersionRef
from nomadflows.store.store import Store
from nomadflows.store.transaction import Set

_LARGEST: Final = 400_000  # Consul takes half a MiB as one value, in JSON that is written for people


def keep(store: Store, call: VersionRef, body: bytes) -> None:
    """InputError if it is no result. One that Consul cannot hold becomes an error: silence would look like a hang."""
    try:
        result: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from error
    if not isinstance(result, dict) or result.get("status") not in {"success", "error"}:
        raise InputError('expected {"status": "success" or "error", "data": …}')
    if len(body) > _LARGEST:
        result = {"status": "error", "data": {"message": f"the result has {len(body)} bytes, over {_LARGEST}"}}
    store.transact([Set(store.keys.call(call), result, None)])

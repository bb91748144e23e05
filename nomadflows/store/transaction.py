"""Changes of several keys that happen together or not at all, and only while nobody else changed them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from nomadflows.model.errors import Conflict, InputError
from nomadflows.store.consul_client import ConsulClient, OpError, RolledBack
from nomadflows.store.documents import encode

Json = dict[str, Any]

MOST_OPERATIONS: Final = 64
MOST_BYTES: Final = 512 * 1024  # Consul's limit of one value, and of one transaction as it is sent
_OP_OVERHEAD: Final = 300  # generous: what an operation takes besides its key and value


class LostLeadership(Conflict):
    """The change was for the leader to make, and this process is not the leader any more. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Set:
    """Write a document. `cas`: only if the key still has this index (0: does not exist); None: in any case."""

    key: str
    value: object  # JSON data
    cas: int | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a key. `cas`: only if it still has this index."""

    key: str
    cas: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteTree:
    """Remove everything below a prefix."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Check:
    """Change nothing here, but fail unless the key still has this index (0: does not exist)."""

    key: str
    index: int


@dataclass(frozen=True, slots=True)
class Exists:
    """Fail unless there is such a key."""

    key: str


Change = Set | Delete | DeleteTree | Check | Exists


@dataclass(frozen=True, slots=True)
class Held:
    """A lock, and the session that is believed to hold it."""

    key: str
    session: str


class Fence(Protocol):
    """Who may only write while holding a lock."""

    def held(self) -> Held:
        """The lock as of now. LostLeadership if it is known to be lost."""
        ...


def commit(client: ConsulClient, changes: Sequence[Change], fence: Fence | None = None) -> dict[str, int]:
    """Do it all; answer with the new index of each key written.

    Conflict names the keys that others changed; LostLeadership if the fence does not hold. InputError, before
    anything is sent, for what Consul would not take.
    """
    operations = [_operation(change) for change in changes]
    if fence is not None:
        held = fence.held()
        operations.insert(0, {"KV": {"Verb": "check-session", "Key": held.key, "Session": held.session}})
    _check_size(operations)
    try:
        entries = client.transact(operations)
    except RolledBack as rolled_back:
        raise _conflict(operations, rolled_back.errors, fenced=fence is not None) from rolled_back
    written = {change.key for change in changes if isinstance(change, Set)}
    return {entry.key: entry.index for entry in entries if entry.key in written}


def _operation(change: Change) -> Json:
    operation: Json
    match change:
        case Set(key, value, cas):
            data = encode(value, key)
            if len(data) > MOST_BYTES:
                raise InputError(
                    f"{key}: {len(data):,} bytes; Consul takes at most {MOST_BYTES:,} bytes (512 KB) a value"
                )
            operation = {"Verb": "set" if cas is None else "cas", "Key": key, "Value": base64.b64encode(data).decode()}
            return {"KV": operation | ({} if cas is None else {"Index": _index(key, cas)})}
        case Delete(key, cas):
            operation = {"Verb": "delete" if cas is None else "delete-cas", "Key": key}
            return {"KV": operation | ({} if cas is None else {"Index": _index(key, cas)})}
        case DeleteTree(prefix):
            return {"KV": {"Verb": "delete-tree", "Key": prefix}}
        case Check(key, 0):
            return {"KV": {"Verb": "check-not-exists", "Key": key}}
        case Check(key, index):
            return {"KV": {"Verb": "check-index", "Key": key, "Index": _index(key, index)}}
        case Exists(key):
            return {"KV": {"Verb": "get", "Key": key}}


def _index(key: str, index: int) -> int:
    if index < 0:
        raise Conflict(f"{key} could not be read, so it is not changed")
    return index


def _check_size(operations: Sequence[Json]) -> None:
    if len(operations) > MOST_OPERATIONS:
        raise InputError(f"{len(operations)} changes at once; Consul takes at most {MOST_OPERATIONS} in a transaction")
    sizes = {op["KV"]["Key"]: len(op["KV"].get("Value", "")) + len(op["KV"]["Key"]) + _OP_OVERHEAD for op in operations}
    total = sum(sizes.values())
    if total > MOST_BYTES:
        largest = max(sizes, key=lambda key: sizes[key])
        raise InputError(
            f"{largest}: {sizes[largest] * 3 // 4:,} bytes; with what must change along with it that is {total:,} bytes"
            f" as sent, and Consul takes at most {MOST_BYTES:,} bytes (512 KB) a transaction",
            hint=f"values travel in base64, so a document may have about {MOST_BYTES * 3 // 4:,} bytes",
        )


def _conflict(operations: Sequence[Json], errors: Sequence[OpError], *, fenced: bool) -> Conflict:
    if fenced and any(error.op == 0 for error in errors):
        return LostLeadership("another controller leads now; nothing was changed")
    keys = sorted({operations[error.op]["KV"]["Key"] for error in errors})
    return Conflict(f"somebody else changed {', '.join(keys)} at the same time; nothing was changed")

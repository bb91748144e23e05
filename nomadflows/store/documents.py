"""Documents as they lie in Consul: indented JSON that people read, and the index they were read at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from nomadflows.model.errors import InputError, Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, Meta, Status
from nomadflows.store.consul_client import Entry

Json = dict[str, Any]
T = TypeVar("T")

UNREADABLE: Final = -1  # index of a document that could not be read: no compare-and-set ever matches it


class Unreadable(Refused):
    """Somebody's hand left something in Consul that is not the document it should be."""

    def __init__(self, key: str, cause: object) -> None:
        super().__init__(
            f"{key} in Consul cannot be read: {cause}", hint="mend or delete that key in Consul's key browser"
        )
        self.key = key


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A value and Consul's modify index of its key: what a compare-and-set needs. 0: the key does not exist yet."""

    value: T
    index: int = 0


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """What is wanted of a flow and how it is, as of one moment. Documents that do not exist yet are the defaults."""

    ref: FlowRef
    meta: Versioned[Meta]
    desired: Versioned[Desired]
    status: Versioned[Status]
    has_draft: bool = False
    problem: str = ""  # set by listings only: a document of this flow cannot be read, and stands here as its default


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One request for the leader's attention. `flow` is None where a stranger's key names none."""

    key: str
    index: int
    flow: FlowRef | None
    request: str = "changed"
    by: str = ""
    at: str = ""


def encode(value: object, key: str) -> bytes:
    """Readable, the same for the same content. InputError for what JSON or Unicode has no form for."""
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:  # UnicodeEncodeError is a ValueError
        raise InputError(f"{key}: cannot be stored as JSON: {error}") from error


def decode(entry: Entry) -> Json:
    """Unreadable unless it is a JSON object."""
    try:
        data = json.loads(entry.value.decode())
    except ValueError as error:
        raise Unreadable(entry.key, error) from error
    if not isinstance(data, dict):
        raise Unreadable(entry.key, "not a JSON object")
    return data


def flow_record(ref: FlowRef, meta: Entry, desired: Entry, status: Entry, *, has_draft: bool) -> FlowRecord:
    """Unreadable if one of the documents is."""
    return FlowRecord(
        ref,
        _document(meta, Meta, Meta(name=ref.flow)),
        _document(desired, Desired, Desired()),
        _document(status, Status, Status()),
        has_draft,
    )


def unreadable_record(ref: FlowRef, problem: str, *, has_draft: bool) -> FlowRecord:
    """A place in a list for a flow that `flow_record` refuses: one broken document hides no other flow."""
    return FlowRecord(
        ref,
        Versioned(Meta(name=ref.flow), UNREADABLE),
        Versioned(Desired(), UNREADABLE),
        Versioned(Status(), UNREADABLE),
        has_draft,
        problem,
    )


D = TypeVar("D", Meta, Desired, Status)


def _document(entry: Entry, cls: type[D], missing: D) -> Versioned[D]:
    if not entry.index:
        return Versioned(missing)
    data = decode(entry)
    try:
        return Versioned(cls.from_json(data), entry.index)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(entry.key, error) from error

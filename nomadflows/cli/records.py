"""Failed messages as people see them: error records, dead letters, what found no queue; decrypted. Asks no server."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Crypto, WireError, decode, decode_error_members, error_message
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import timestamp

Json = dict[str, Any]

_ID_SHOWN = 8
_ROUTES = frozenset({"input", "data", "error", "snapshot"})  # what follows a step in a routing key


@dataclass(frozen=True, slots=True)
class Record:
    """One failed message. `problem` says why its content cannot be read. `failed_on`: the id of the message that the
    step was given; `previous`: the step whose output that was, where it is known; `twin`: what else tells of the same
    failure, the dead letter of an error or the error of a dead letter."""

    id: str
    step: str
    version: str
    at: str
    thread: str
    name: str
    message: str
    stack: str = ""
    input: Json | None = None
    problem: str = ""
    failed_on: str = ""
    previous: str = ""
    twin: Record | None = field(default=None, repr=False)
    kept: Kept | None = field(default=None, repr=False)

    def to_json(self) -> Json:
        names = ("id", "step", "version", "at", "thread", "name", "message", "stack", "input", "problem")
        return {name: getattr(self, name) for name in names}


def error_record(kept: Kept, crypto: Crypto) -> Record:
    """From the queue of error records."""
    headers = kept.headers
    step = str(headers.get("stepId") or kept.key.removesuffix(".error"))
    try:
        error, failed = decode_error_members(crypto, kept.body)
        problem = ""
    except WireError as fault:
        error, failed, problem = {}, None, str(fault)
    return Record(
        id=_id(kept),
        step=step,
        version=_number(kept.exchange),
        at=_moment(headers.get("end") or headers.get("start")),
        thread=str(headers.get("threadId", "")),
        name=str(error.get("name", "")),
        message=str(error.get("message", "")),
        stack=str(error.get("stack", "")),
        input=failed,
        problem=problem,
        failed_on=str(headers.get("parentMessageId", "")),
        kept=kept,
    )


def dead_record(kept: Kept, crypto: Crypto, ref: FlowRef) -> Record:
    """From the queue of rejected messages. The broker notes which queue each comes from, and why."""
    death: Json = next(iter(kept.headers.get("x-death") or []), {})
    exchange, _, step = str(death.get("queue", "")).removeprefix(f"{ref.flow}.").partition(".")
    content, problem = _content(kept, crypto)
    died = death.get("time")
    return Record(
        id=_id(kept),
        step=step,
        version=_number(exchange),
        at=timestamp(died.replace(tzinfo=UTC)) if isinstance(died, datetime) else "",
        thread=str(kept.headers.get("threadId", "")),
        name=str(death.get("reason", "unknown")),
        message=problem or "see `nomadflows flow errors`",
        input=content,
        problem=problem,
        failed_on=str(kept.headers.get("messageId", "")),
        previous=str(kept.headers.get("stepId", "")),
        kept=kept,
    )


def unrouted_record(kept: Kept, crypto: Crypto, ref: FlowRef) -> Record | None:
    """From the workspace's queue of messages that no queue wanted; None for another flow's."""
    version = VersionRef.parse_job(ref.workspace, kept.exchange)
    if version is None or version.ref != ref:
        return None
    content, problem = _content(kept, crypto)
    step, _, what = kept.key.rpartition(".")
    return Record(
        id=_id(kept),
        step=step if what in _ROUTES else "",
        version=str(version.number),
        at=_moment(kept.headers.get("end") or kept.headers.get("start")),
        thread=str(kept.headers.get("threadId", "")),
        name="unroutable",
        message=f"no queue takes {kept.key}",
        input=content,
        problem=problem,
        kept=kept,
    )


def paired(records: Sequence[Record], others: Iterable[Record]) -> list[Record]:
    """Each with its twin among `others`, if there is one. An id alone says too little, since all outputs of one call
    may share one, and a stranger's message may have none: what was in it must be the same as well. `others` is read no
    further than need be."""
    left: dict[tuple[str, str], list[int]] = {}
    for place, record in enumerate(records):
        if record.input is not None:
            left.setdefault((record.failed_on, record.step), []).append(place)
    found = list(records)
    looking = iter(others)
    while left and (other := next(looking, None)) is not None:
        places = left.get((other.failed_on, other.step), [])
        same = next((place for place in places if _said(records[place]) == _said(other)), None)
        if same is not None:
            found[same] = _completed(records[same], other)
            places.remove(same)
            if not places:
                del left[other.failed_on, other.step]
    return found


def _completed(record: Record, twin: Record) -> Record:
    """A dead letter knows whose output it was; and what an error handler of Node's failed on has headers only there."""
    content = {"headers": (twin.input or {}).get("headers", {}), **(record.input or {})}
    return replace(record, twin=twin, input=content, previous=record.previous or twin.previous)


def _said(record: Record) -> Json | None:
    """Without its headers, which an error of Node's error handler lacks."""
    return {k: v for k, v in record.input.items() if k != "headers"} if record.input is not None else None


def grouped(records: Iterable[Record]) -> list[Json]:
    """How often each error of each step came, most frequent first."""
    found = list(records)
    counts = Counter((r.step, r.name, r.message) for r in found)
    newest = {(r.step, r.name, r.message): r for r in found}
    return [
        {
            "count": count,
            "step": key[0],
            "name": key[1],
            "message": key[2],
            "last": newest[key].at,
            "id": newest[key].id,
        }
        for key, count in counts.most_common()
    ]


def _content(kept: Kept, crypto: Crypto) -> tuple[Json | None, str]:
    """What a message says, or why that cannot be told. What an error handler gets is an error record."""
    try:
        return decode(crypto, kept.body, kept.headers), ""
    except WireError as fault:
        problem = str(fault)
    try:
        return error_message(crypto, kept.body, kept.headers), ""
    except WireError:
        return None, problem


def _id(kept: Kept) -> str:
    """Short enough to type; a message without an id of its own is known by its content."""
    known = kept.headers.get("messageId") or hashlib.sha256(kept.body).hexdigest()
    return str(known)[:_ID_SHOWN]


def _number(exchange: str) -> str:
    return exchange.rpartition(".v")[2] if ".v" in exchange else exchange.removeprefix("v")


def _moment(milliseconds: object) -> str:
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool):
        return ""
    return timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))

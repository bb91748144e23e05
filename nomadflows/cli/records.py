"""Failed messages as people see them: error records and dead messages, decrypted. Asks no server."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Crypto, WireError, decode, decode_error_members
from nomadflows.model.names import FlowRef
from nomadflows.model.states import timestamp

Json = dict[str, Any]

_ID_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One failed message. `problem` says why its content cannot be read."""

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
        kept=kept,
    )


def dead_record(kept: Kept, crypto: Crypto, ref: FlowRef) -> Record:
    """From the queue of rejected messages. The broker notes which queue each comes from, and why."""
    death: Json = next(iter(kept.headers.get("x-death") or []), {})
    exchange, _, step = str(death.get("queue", "")).removeprefix(f"{ref.flow}.").partition(".")
    try:
        content, problem = decode(crypto, kept.body, kept.headers), ""
    except WireError as fault:
        content, problem = None, str(fault)
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
        kept=kept,
    )


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


def previous_step(after: Mapping[str, tuple[str, ...]], step: str) -> str:
    """Whose output a step's input was, where only one step feeds it: its place in the passthrough."""
    fed_by = after.get(step, ())
    return fed_by[0] if len(fed_by) == 1 else ""

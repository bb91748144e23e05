"""What a failed message becomes when it is given to a step again. Asks no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nomadflows.broker.topology import takes
from nomadflows.broker.wire import OBJECT_HEADER, Crypto, Outgoing, WireError, retry, retry_error
from nomadflows.cli.records import Record
from nomadflows.model.errors import InputError, Refused
from nomadflows.model.graph import RunStep, ancestors
from nomadflows.model.names import VersionRef, input_key

Json = dict[str, Any]

AS_IT_WAS: Final = object()  # in place of a mended body


@dataclass(frozen=True, slots=True)
class Taker:
    """The version that takes input now."""

    version: VersionRef
    steps: Sequence[RunStep]
    crypto: Crypto = field(repr=False)

    @property
    def after(self) -> dict[str, tuple[str, ...]]:
        return {step.id: step.after for step in self.steps}

    def step(self, name: str) -> RunStep:
        for step in self.steps:
            if step.id == name:
                return step
        raise Refused(f"version {self.version.number} of {self.version.ref} has no step {name}")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a message begins again: which step gets what, and whose output that was."""

    step: str
    content: Json = field(repr=False)
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """A message to publish, and the records that it makes good."""

    records: tuple[Record, ...]
    key: str
    message: Outgoing = field(repr=False)
    content: Json = field(default_factory=dict, repr=False)  # what is in the message, where it is a step's input


def again(taker: Taker, record: Record, body: Any = AS_IT_WAS, step: str = "") -> Again:
    """The message a record tells of, for the step that failed on it or for an earlier `step`. Refused, with the reason,
    if there is no such message."""
    start = begin(taker, record, step)
    content = start.content if body is AS_IT_WAS else _with_body(start.content, body)
    if taker.step(start.step).error_handler:
        message = _error_again(taker.crypto, content)
    else:
        message = retry(
            taker.crypto,
            content,
            record.kept.headers if record.kept else {},
            workspace=taker.version.workspace,
            flow=taker.version.flow,
            exec_id=taker.version.job_id,
            previous_step=start.previous,
        )
    twin = (record.twin,) if record.twin else ()
    return Again((record, *twin), input_key(start.step), message, content)


def _with_body(content: Json, body: Any) -> Json:
    """The step is not to look for another one in the object store."""
    headers = {name: value for name, value in (content.get("headers") or {}).items() if name != OBJECT_HEADER}
    return {**content, "body": body, "headers": headers} if "headers" in content else {**content, "body": body}


def routed_again(taker: Taker, record: Record) -> Again:
    """What found no queue, as it was published, for the version that takes input now."""
    if record.kept is None or not takes(taker.version, taker.steps, record.kept.key):
        raise Refused(f"{record.id}: {record.message} in version {taker.version.number} either")
    return Again((record,), record.kept.key, Outgoing(record.kept.body, dict(record.kept.headers)))


def begin(taker: Taker, record: Record, step: str = "") -> Start:
    """Where and with what. A mapping belongs to the step it feeds: from a step means from its mapping."""
    if record.input is None:
        raise Refused(f"{record.id}: {record.problem or 'an error at a start has no message'}")
    if not step:
        return _same_step(taker, record, record.input)
    ways = _ways_into(taker, step)
    places = {place for place, _ in ways} or {step}
    if record.step in places:
        return _same_step(taker, record, record.input)
    after = taker.after
    taker.step(record.step)
    if step != record.step and step not in ancestors(after, record.step):
        raise Refused(f"{record.id}: {step} does not come before {record.step}, which failed")
    if not any(source for _, source in ways):
        raise Refused(
            f"{record.id}: {step} is where messages begin; no later message has what came into it",
            hint="a later step can be retried from",
        )
    passthrough: Json = record.input.get("passthrough") or {}
    place, source = _way_taken(ways, passthrough, after, record, step)
    earlier = {name: passthrough[name] for name in passthrough if name in ancestors(after, source)}
    return Start(place, {**passthrough[source], "passthrough": earlier}, source)


def _same_step(taker: Taker, record: Record, content: Json) -> Start:
    fed_by = taker.step(record.step).after
    if record.previous in fed_by:
        return Start(record.step, content, record.previous)
    return Start(record.step, content, previous_step(taker.after, record.step))


def _ways_into(taker: Taker, step: str) -> Sequence[tuple[str, str]]:
    """For each edge into a step: who gets the message first (the edge's mapper, if it has one), and whose it is. Errors
    are of no one step."""
    feeders = [taker.step(feeder) for feeder in taker.step(step).after]
    return [
        (feeder.id, feeder.after[0] if feeder.after else "") if feeder.kind == "mapper" else (step, feeder.id)
        for feeder in feeders
    ]


def _way_taken(
    ways: Sequence[tuple[str, str]], passthrough: Json, after: Mapping[str, tuple[str, ...]], record: Record, step: str
) -> tuple[str, str]:
    """The edge the message came along: of the sources it carries the output of, the last."""
    carried = [way for way in ways if way[1] in passthrough]
    last = [way for way in carried if not any(way[1] in ancestors(after, other) for _, other in carried)]
    if len(last) != 1:
        sources = ", ".join(source for _, source in ways)
        raise Refused(
            f"{record.id}: the message does not carry what {step} got from {sources}",
            hint="a step between them has `passthrough: false`, or the message came another way",
        )
    return last[0]


def _error_again(crypto: Crypto, content: Json) -> Outgoing:
    try:
        return retry_error(crypto, content)
    except WireError as problem:
        raise InputError(str(problem)) from None


def previous_step(after: Mapping[str, tuple[str, ...]], step: str) -> str:
    """Whose output a step's input was, where only one step feeds it: its place in the passthrough."""
    fed_by = after.get(step, ())
    return fed_by[0] if len(fed_by) == 1 else ""

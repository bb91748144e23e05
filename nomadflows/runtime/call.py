"""One call of a component's `process`: what it emits becomes outputs, how it ends becomes a verdict.

Runs in a worker thread. Hands outputs to the broker thread through `post` and never touches a connection.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from nomadflows.broker import wire
from nomadflows.runtime.api import HttpReply, Message, Snapshot, SnapshotUpdate
from nomadflows.runtime.envelope import Envelope, Passthrough, now_ms
from nomadflows.runtime.objects import ObjectError, Objects
from nomadflows.runtime.platform_api import Abandoned, ApiRefusalError
from nomadflows.runtime.settings import Settings
from nomadflows.runtime.snapshot import SnapshotError, SnapshotStore
from nomadflows.runtime.work import Output, Verdict, Work

Json = dict[str, Any]

logger = logging.getLogger("nomadflows.runtime")
_UNKNOWN_STACK: Final = "Not Available"


class Step(NamedTuple):
    """What all calls of this process share."""

    settings: Settings
    crypto: wire.Crypto
    envelope: Envelope
    snapshot: SnapshotStore
    passthrough: bool
    variables: Json
    post: Callable[[Output], None]
    update_keys: Callable[[object], None]  # writes members of the step's credential
    objects: Objects


# What remains to be done with the object store before a message is out; it may take long.
Rest = Callable[[], None] | None


class Call:
    """The outputs of one message. A call that emitted an error is rejected, whatever else it did."""

    def __init__(self, step: Step, work: Work, incoming: Callable[[], Json], incoming_id: str | None) -> None:
        """`incoming` gives the message as it came, each time anew."""
        self._step = step
        self._work = work
        self._incoming = incoming
        self._incoming_id = incoming_id
        self._amqp_headers: wire.Headers = work.headers or {}
        self._headers = step.envelope.of_call(self._amqp_headers)
        self._passthrough = Passthrough(step.settings, incoming, self._amqp_headers, enabled=step.passthrough)
        self.verdict = Verdict.ACK
        self.thread_id: str = self._headers["threadId"]
        self.previous_step = str(self._amqp_headers.get("stepId") or "")

    def emit(self, event: str, value: Any = None) -> Rest:
        """An event by the name the contract gives it."""
        handler = _EVENTS.get(event)
        if handler is None:
            raise ValueError(f"no event {event!r}; there are: {', '.join(_EVENTS)}")
        return handler(self, value)

    def emit_item(self, item: Any) -> Rest:
        """One thing a component returned or yielded."""
        if isinstance(item, (dict, Message)):
            return self._data(item)
        if isinstance(item, Snapshot):
            self._snapshot(item.state)
        elif isinstance(item, SnapshotUpdate):
            self._update_snapshot(item.changes)
        elif isinstance(item, HttpReply):
            return self._http_reply({"statusCode": item.status, "body": item.body, "headers": item.headers})
        elif item is not None:
            raise TypeError(f"process gave {type(item).__name__} where a message or a dict belongs")
        return None

    def is_blocking(self, event: Any) -> bool:
        """Whether emitting this now would wait for the broker or the API; a coroutine must not do that on its loop."""
        if isinstance(event, (Snapshot, SnapshotUpdate)) or event in ("snapshot", "updateSnapshot"):
            return not self._work.all_confirmed()
        if event == "updateKeys":
            return True
        return not self._work.has_room()

    def _data(self, item: Any) -> Rest:
        content = _as_message(item)
        routing_key, content["headers"] = _routed(content.get("headers") or {}, self._step.settings.data_key)
        message_id = content.get("id")
        if not message_id or message_id == self._incoming_id:
            message_id = wire.new_id()
            if "id" in content:  # a message that is passed on is a new one
                content["id"] = message_id
        self._passthrough.add_to(content)
        return self._send(routing_key, content, str(message_id), self._step.settings.protocol)

    def _send(self, routing_key: str, content: Json, message_id: str, protocol: int) -> Rest:
        plain = wire.to_json(content)
        moving = self._step.objects.before_emitting(content, len(plain))
        headers: wire.Headers = {"messageId": message_id, "protocolVersion": protocol}
        if moving is None:
            self._publish(routing_key, wire.seal(self._step.crypto, plain, protocol), headers)
            return None
        return lambda: self._send_moved(moving, routing_key, content, headers)

    def _send_moved(self, moving: Callable[[], None], routing_key: str, content: Json, headers: wire.Headers) -> None:
        try:
            moving()
        except ObjectError as error:
            self.error(error)
        else:
            self._publish(routing_key, wire.encode(self._step.crypto, content, headers["protocolVersion"]), headers)

    def error(self, error: Any) -> None:
        """An error record, and a copy for whoever waits for a reply. The message goes to the dead letters."""
        self.verdict = Verdict.REJECT
        self._error_record(error)

    def _error_record(self, error: Any) -> None:
        described = describe(error)
        crypto = self._step.crypto
        self._publish(
            self._step.settings.error_key,
            wire.error_body(crypto, described, self._incoming()),
            {"messageId": wire.new_id()},
            limited=False,
        )
        reply_to = self._amqp_headers.get("reply_to")
        if reply_to and self._step.settings.error_replies:
            self._publish(
                str(reply_to),
                wire.encrypt_text(crypto, described).encode(),
                {"messageId": wire.new_id(), wire.ERROR_RESPONSE_HEADER: True},
                limited=False,
            )

    def rebound(self, reason: Any) -> None:
        """The message as it came, to be put back after a delay that doubles each time."""
        settings = self._step.settings
        iteration = _count(self._amqp_headers.get("reboundIteration")) + 1
        if iteration > settings.rebound_limit:
            self._error_record(RuntimeError("Rebound limit exceeded"))
            return
        delay_ms = 2 ** (iteration - 1) * settings.rebound_first_ms
        # (the reason travels with the message; its text may quote it, so that it is no matter for a log)
        logger.warning("rebound %d of %d: back in %g s", iteration, settings.rebound_limit, delay_ms / 1000)
        properties = self._step.envelope.rebound(self._work.properties, str(reason), iteration, delay_ms)
        self._post(Output(self._work, settings.rebound_key, self._work.body, properties, mandatory=False))

    def _snapshot(self, state: Any) -> None:
        self._publish_snapshot("snapshot", self._step.snapshot.replace, state)

    def _update_snapshot(self, changes: Any) -> None:
        self._publish_snapshot("updateSnapshot", self._step.snapshot.update, changes)

    def _publish_snapshot(self, event: str, change: Callable[[object], bytes], value: Any) -> None:
        """A state says "done up to here": it must not overtake the messages it speaks of, nor outlive them."""
        self._work.wait_for_confirms()
        try:
            body = change(value)
        except (SnapshotError, TypeError) as refused:
            self.error(refused)
            return
        self._publish(
            self._step.settings.snapshot_key, body, {"messageId": wire.new_id(), "snapshotEvent": event}, limited=False
        )

    def _update_keys(self, keys: Any) -> None:
        """What the API does not take is an error of the message; while it is away, this waits."""
        try:
            self._step.update_keys(keys)
        except (ApiRefusalError, Abandoned, ValueError) as refused:
            self.error(refused)

    def _end(self, _value: Any) -> None:
        """Node's components say it after their last output; here that is when `process` returns."""

    def _http_reply(self, reply: Any) -> Rest:
        """A large one goes through the object store too, as a message does: the gateway knows."""
        reply_to = self._amqp_headers.get("reply_to")
        if not reply_to:
            self.error(RuntimeError("httpReply without reply_to: nobody waits for an answer to this message"))
            return None
        return self._send(str(reply_to), dict(reply), wire.new_id(), 1)

    def _publish(self, routing_key: str, body: bytes, headers: wire.Headers, *, limited: bool = True) -> None:
        limit = self._step.settings.size_limit
        if limited and len(body) > limit:
            self.error(ValueError(f"Outgoing message size {len(body)} exceeds limit of {limit}."))
            return
        properties = self._step.envelope.properties({**self._headers, **headers, "end": now_ms()})
        self._post(Output(self._work, routing_key, body, properties))

    def _post(self, output: Output) -> None:
        work = self._work
        if not work.has_room():
            work.wait_for_room()
        work.emitted += 1
        work.emitted_bytes += len(output.body)
        self._step.post(output)


_SINGLE: Final = (Message, dict, Snapshot, SnapshotUpdate, HttpReply)
_EVENTS: Final[dict[str, Callable[[Call, Any], Rest]]] = {
    "data": Call._data,  # noqa: SLF001 - this table is the class's own dispatch
    "error": Call.error,
    "rebound": Call.rebound,
    "snapshot": Call._snapshot,  # noqa: SLF001
    "updateSnapshot": Call._update_snapshot,  # noqa: SLF001
    "updateKeys": Call._update_keys,  # noqa: SLF001
    "httpReply": Call._http_reply,  # noqa: SLF001
    "end": Call._end,  # noqa: SLF001
}


def items(result: Any) -> Iterable[Any]:
    """The single things in what `process` returned: one thing, or an iterable of things."""
    if result is None or isinstance(result, _SINGLE):
        return (result,)
    if isinstance(result, Iterable) and not isinstance(result, (str, bytes)):
        return result
    raise TypeError(f"process gave {type(result).__name__}, not a message, a dict or an iterable of them")


def describe(error: Any) -> Json:
    """An error as the contract writes it down."""
    if not isinstance(error, BaseException):
        return {"name": "Error", "message": error, "stack": _UNKNOWN_STACK}
    return {
        "name": type(error).__name__,
        "message": str(error),
        "stack": "".join(traceback.format_exception(error)),
    }


def _as_message(item: Any) -> Json:
    """A dict with a body is a message, any other dict is a body."""
    if isinstance(item, Message):
        return item.to_wire()
    if not isinstance(item, dict):
        raise TypeError(f"a message is a dict or a Message, not {type(item).__name__}")
    return dict(item) if "body" in item else {"body": item, "headers": {}}


def _routed(headers: Json, default: str) -> tuple[str, Json]:
    """The routing key a message asks for, and its headers without that wish."""
    wishes = [name for name in headers if name.lower() == wire.ROUTING_KEY_HEADER]
    if not wishes:
        return default, headers
    return str(headers[wishes[-1]]) or default, {key: headers[key] for key in headers if key not in wishes}


def _count(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0

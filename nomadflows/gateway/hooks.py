"""`/hook/<workspace>/<flow>[/anything]`: from an HTTP request to a confirmed message, and to the flow's answer.

An ASGI application of its own: a request passes nothing here that it does not need. It is answered only after the
broker has confirmed the message, so what was acknowledged survives this process. Looks into no server itself: flows
come from the `Directory`, messages go through `publishers`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final, Protocol
from urllib.parse import quote

import structlog

from nomadflows.broker.wire import Crypto, encode, new_id, platform_headers
from nomadflows.gateway import answers, metrics
from nomadflows.gateway.answers import Answer, Problem, Rejected
from nomadflows.gateway.content import Parsed, Request, joined, parsed
from nomadflows.gateway.directory import Directory, Target, explain
from nomadflows.gateway.hook_objects import HookObjects, Kept
from nomadflows.gateway.limits import DeadCalls, Memory, RateLimit
from nomadflows.gateway.replies import Replies, too_late
from nomadflows.model.errors import NomadflowsError, NotFound
from nomadflows.model.names import REPLIES, FlowRef, input_key, reply_key
from nomadflows.objects.store import TooLargeError

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX: Final = "/hook/"
MOST_BYTES: Final = 10_000_000  # headers and body
MOST_REFUSED_BYTES: Final = 50_000_000  # of a request that is too large: read, not kept
ARRIVAL_S: Final = 30.0  # for the whole body
MEMORY: Final = 256 << 20
LARGE: Final = 64 << 10  # bytes of a body; smaller ones are not worth a thread
_COPIES: Final = 2  # of a sealed message until it is confirmed: as it is, and in the connection's buffer
_WITHOUT_LENGTH: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})  # RFC 9110: it would be another's


class Publisher(Protocol):
    """A workspace's broker, as `broker.pipeline.Pipeline` is."""

    async def publish(self, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> bool: ...
    async def listen(self, exchange: str, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Made:
    """A message for whichever version of its flow takes it, and which files of it lie in the object store."""

    crypto: Crypto
    body: bytes = field(repr=False)
    files: Sequence[str] = ()


class _Gone(Exception):
    """The caller hung up: there is nobody to answer."""


class Hooks:
    """The handler. `publishers` gives each workspace its own."""

    def __init__(
        self,
        directory: Directory,
        publishers: Callable[[str], Publisher],
        replies: Replies,
        objects: HookObjects,
        *,
        per_minute: int = 0,
        memory: int = MEMORY,
        arrival_s: float = ARRIVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._publishers = publishers
        self._replies = replies
        self._objects = objects
        self._rate = RateLimit(per_minute)
        self._dead = DeadCalls()
        self._memory = Memory(memory)
        self._arrival_s = arrival_s
        self._clock = clock
        self._one_large = asyncio.Lock()
        self.reply_key = reply_key(secrets.token_hex(8))  # this process's own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Rejected as rejected:
            answer = rejected.answer
        except _Gone:
            metrics.ANSWERS.labels("-", "gone").inc()
            return
        metrics.ANSWERS.labels(str(answer.status), answer.reason).inc()
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        if answer.status not in _WITHOUT_LENGTH:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] not in {"GET", "POST"}:
            return answers.METHOD.answer()
        ref, rest = _address(scope["path"])
        headers = joined(scope["headers"])
        try:
            target = await self._target(ref)
        except NomadflowsError as error:
            log.warning("a webhook could not be looked up", flow=str(ref), error=error.message)
            return answers.AWAY.answer(text=explain(error))
        if not target.auth.signs_body and not target.auth.allows(headers):
            return _unauthorised(target)
        taken = [0]
        try:
            body = await self._body(scope, receive, headers, taken)
            request = Request(
                scope["method"], scope.get("root_path", "") + quote(scope["path"], safe="/:@!$&'()*+,;=~"),
                scope["query_string"].decode("latin-1"), rest, headers, body,
            )  # fmt: skip
            return await self._accept(ref, target, request, receive, taken)
        finally:
            self._memory.give(taken[0])

    async def _target(self, ref: FlowRef) -> Target:
        target = await self._directory.target(ref)
        if target is None:
            raise Rejected((answers.BLOCKED if self._dead.one_more(ref) else answers.NO_FLOW).answer())
        self._dead.lives(ref)
        return target

    async def _body(self, scope: Scope, receive: Receive, headers: dict[str, str], taken: list[int]) -> bytes:
        """The whole body, or nothing of it is kept. What is refused is read on for a while all the same: a caller that
        still sends does not see an answer."""
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"]) + len(scope["query_string"])
        refused = answers.TOO_LARGE if size + _declared(headers) > MOST_BYTES else None
        if refused and headers.get("expect", "").lower() == "100-continue":
            raise refused.rejected()
        kept = BytesIO()  # one buffer, not hundreds of pieces beside their sum
        try:
            async with asyncio.timeout(self._arrival_s):
                async for piece in _pieces(receive):
                    size += len(piece)
                    refused = refused or self._keep(piece, size, taken)
                    if refused is None:
                        kept.write(piece)
                    elif size > MOST_REFUSED_BYTES:
                        break
                    else:
                        kept = BytesIO()
        except TimeoutError:
            raise (refused or answers.TOO_SLOW).rejected() from None
        if refused:
            raise refused.rejected()
        return kept.getvalue()

    def _keep(self, piece: bytes, size: int, taken: list[int]) -> Problem | None:
        if size > MOST_BYTES:
            return answers.TOO_LARGE
        return None if self._hold(len(piece), taken) else answers.BUSY

    def _hold(self, count: int, taken: list[int]) -> bool:
        held = self._memory.take(count)
        taken[0] += count if held else 0
        return held

    async def _accept(
        self, ref: FlowRef, target: Target, request: Request, receive: Receive, taken: list[int]
    ) -> Answer:
        if target.auth.signs_body and not target.auth.allows(request.headers, request.body):
            return _unauthorised(target)
        if not self._rate.take(ref.workspace, self._clock()):
            return answers.RATE.answer(text=answers.RATE.text.format(workspace=ref.workspace))
        execution = new_id()
        try:
            made = await self._made(ref, target, request)
            if not self._hold(_COPIES * len(made.body), taken):
                await self._objects.drop(ref.workspace, made.files)
                return answers.BUSY.answer()
            if not target.answers:
                return await self._queue(ref, target, made, execution) or answers.accepted(execution)
            return await self._wait_for_reply(ref, target, made, execution, receive)
        except NomadflowsError as error:
            log.warning("a webhook's request could not be queued", flow=str(ref), error=error.message)
            return answers.AWAY.answer(text=explain(error))

    async def _made(self, ref: FlowRef, target: Target, request: Request) -> _Made:
        """The message, sealed. Large ones are made one after the other, in a thread: parsed, one takes up to twenty
        times its size for a moment, and other callers are served meanwhile."""
        if len(request.body) <= LARGE:
            found, body = _sealed(target, request)
        else:
            async with self._one_large:
                found, body = await asyncio.to_thread(_sealed, target, request)
        if not found.files:
            return _Made(target.crypto, body)
        kept = await self._keep_files(ref, found)
        found.content["attachments"] = kept.attachments
        try:
            return _Made(target.crypto, _encoded(target, found.content), kept.ids)
        except Rejected:
            await self._objects.drop(ref.workspace, kept.ids)
            raise

    async def _keep_files(self, ref: FlowRef, found: Parsed) -> Kept:
        try:
            return await self._objects.keep(ref.workspace, found.files)
        except TooLargeError as error:
            raise answers.TOO_LARGE.rejected(str(error)) from None
        except OSError as error:
            log.error("the folder of objects cannot be used", error=error.strerror)  # noqa: TRY400 - says it all
            raise answers.NO_ROOM.rejected() from None

    async def _queue(self, ref: FlowRef, target: Target, made: _Made, execution: str) -> Answer | None:
        """None once the broker has it, files of a form included. They are not kept if the broker refuses the message;
        if nobody knows whether it has it, they stay for their time."""
        try:
            refused = await self._publish(ref, target, made, execution)
        except (Rejected, NotFound):
            await self._objects.drop(ref.workspace, made.files)
            raise
        if refused is not None:
            await self._objects.drop(ref.workspace, made.files)
        return refused

    async def _publish(self, ref: FlowRef, target: Target, made: _Made, execution: str) -> Answer | None:
        """None once the broker has it. A version that is gone has a successor, or the flow was stopped."""
        for attempt in range(2):
            version = target.version
            headers = platform_headers(
                workspace=version.workspace, flow=version.flow, exec_id=version.job_id, thread_id=execution,
                reply_to=self.reply_key if target.answers else "",
            )  # fmt: skip
            try:
                publisher = self._publishers(ref.workspace)
                if target.answers:
                    await publisher.listen(REPLIES, self.reply_key)
                queued = await publisher.publish(version.exchange, input_key(target.trigger), made.body, headers)
            except NotFound:
                if attempt:
                    raise
                found = await self._directory.look_again(ref)
                if found is None:
                    return answers.NO_FLOW.answer()
                if found.crypto != made.crypto:  # another flow, made anew under the name: its keys are its own
                    raise
                target = found
                continue
            return None if queued else answers.FULL.answer()
        raise AssertionError("unreachable")

    async def _wait_for_reply(
        self, ref: FlowRef, target: Target, made: _Made, execution: str, receive: Receive
    ) -> Answer:
        reply = self._replies.expect(execution, ref.workspace, target.crypto)
        metrics.WAITING.inc()
        try:
            refused = await self._queue(ref, target, made, execution)
            if refused is not None:
                return refused
            return await _first(reply, receive, target.reply_timeout_s, execution)
        finally:
            metrics.WAITING.dec()
            self._replies.forget(execution)


def _sealed(target: Target, request: Request) -> tuple[Parsed, bytes]:
    """What of the request is still to be done, and the message; none yet if it has files. In a thread of its own for
    a large one, which leaves nothing of it to the loop that it would have to take apart."""
    found = parsed(request, raw=target.raw, secret_header=target.auth.header)
    return (found, b"") if found.files else (Parsed({}), _encoded(target, found.content))


def _encoded(target: Target, content: dict[str, Any]) -> bytes:
    """Rejected if the content is no JSON: a number beyond all numbers."""
    try:
        return encode(target.crypto, content)
    except ValueError as error:
        raise answers.BAD_BODY.rejected(f"not JSON: {error}") from None


def _declared(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() else 0


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def _first(reply: asyncio.Future[Answer], receive: Receive, patience_s: float, execution: str) -> Answer:
    """The flow's answer, unless the caller hangs up or the time is over before."""
    gone = asyncio.create_task(_hung_up(receive))
    waiting: set[asyncio.Future[Any]] = {reply, gone}
    try:
        await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if reply.done():
            return reply.result()
        if gone.done():
            raise _Gone
        return too_late(execution)
    finally:
        gone.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _address(path: str) -> tuple[FlowRef, str]:
    """The flow a path names, and the rest of it. Names that cannot be are as unknown as others."""
    workspace, _, more = path.removeprefix(PREFIX).partition("/")
    flow, slash, rest = more.partition("/")
    try:
        return FlowRef.parse(f"{workspace}/{flow}"), slash + rest
    except ValueError:
        raise answers.NO_FLOW.rejected() from None


def _unauthorised(target: Target) -> Answer:
    return (answers.UNAUTHORISED_BASIC if target.auth.type == "basic" else answers.UNAUTHORISED).answer()

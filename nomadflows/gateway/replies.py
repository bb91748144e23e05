"""Callers that wait for their flow's answer, and what becomes of an answer as HTTP. Knows no connection.

An answer too large for a message has its body in the object store, from where `body_of` gets it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import structlog

from nomadflows.broker.wire import Crypto, Reply, WireError, decode_reply, thread_of, to_json
from nomadflows.gateway import metrics
from nomadflows.gateway.answers import BAD_REPLY, EXECUTION_HEADER, FAILED, JSON_TYPE, LOST, NO_REPLY, Answer

log = structlog.get_logger()

LOWEST_STATUS: Final = 200
HIGHEST_STATUS: Final = 999
ENCODING_HEADER: Final = "x-body-encoding"  # base64: the body is bytes
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS: Final = frozenset({
    "connection", "content-length", "date", "keep-alive", "proxy-connection", "server", "te", "trailer",
    "transfer-encoding", "upgrade", EXECUTION_HEADER, ENCODING_HEADER,
})  # fmt: skip
_NO_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED})


BodyOf = Callable[[str, Crypto, str], Awaitable[Any]]  # of a workspace's object


@dataclass(frozen=True, slots=True)
class _Waiting:
    workspace: str
    crypto: Crypto
    answer: asyncio.Future[Answer]


class Replies:
    """One waiting caller an execution. An answer nobody waits for is dropped and counted."""

    def __init__(self, body_of: BodyOf) -> None:
        self._body_of = body_of
        self._waiting: dict[str, _Waiting] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    def expect(self, execution: str, workspace: str, crypto: Crypto) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[execution] = _Waiting(workspace, crypto, future)
        return future

    def forget(self, execution: str) -> None:
        self._waiting.pop(execution, None)

    def take(self, headers: Mapping[str, Any], body: bytes) -> None:
        """An answer came from a flow. The first one counts."""
        execution = thread_of(headers)
        waiting = self._waiting.pop(execution, None)
        if waiting is None or waiting.answer.done():
            metrics.DROPPED.inc()
            return
        try:
            reply = decode_reply(waiting.crypto, body, headers)
        except WireError as error:
            waiting.answer.set_result(_unreadable(error, execution))
            return
        if reply.object_id:
            task = asyncio.get_running_loop().create_task(self._fetch(waiting, reply, execution))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        else:
            waiting.answer.set_result(_as_http(reply, execution))

    async def _fetch(self, waiting: _Waiting, reply: Reply, execution: str) -> None:
        try:
            body = await self._body_of(waiting.workspace, waiting.crypto, reply.object_id)
            answer = _as_http(reply._replace(body=body), execution)
        except (WireError, OSError) as error:
            answer = _unreadable(error, execution)
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    def lost(self, workspace: str) -> None:
        """A workspace's queue of answers is gone, and with it what it held."""
        for execution, waiting in list(self._waiting.items()):
            if waiting.workspace == workspace:
                del self._waiting[execution]
                if not waiting.answer.done():
                    waiting.answer.set_result(LOST.answer(execution=execution))


def too_late(execution: str) -> Answer:
    return NO_REPLY.answer(execution=execution)


def _as_http(reply: Reply, execution: str) -> Answer:
    if reply.failed:
        return FAILED.answer(execution=execution, text=str(reply.body.get("error", "")))
    try:
        return answer_of(reply, execution)
    except (ValueError, TypeError, RecursionError) as error:
        return _unreadable(error, execution)


def _unreadable(error: Exception, execution: str) -> Answer:
    log.warning("a flow's answer could not be read", execution=execution, error=str(error))
    return BAD_REPLY.answer(execution=execution)


def answer_of(reply: Reply, execution: str) -> Answer:
    """ValueError if it cannot be sent."""
    if not LOWEST_STATUS <= reply.status <= HIGHEST_STATUS:
        raise ValueError(f"the status {reply.status} is not between {LOWEST_STATUS} and {HIGHEST_STATUS}")
    given = {name.lower(): value for name, value in reply.headers.items()}
    content_type = given.get("content-type") or JSON_TYPE
    headers = [
        (name, value)
        for name, value in given.items()
        if name not in _OURS and name != "content-type" and _TOKEN.fullmatch(name) and _VALUE.fullmatch(value)
    ]
    if not _VALUE.fullmatch(content_type):
        raise ValueError("its content type is no header's value")
    body = b"" if reply.status in _NO_BODY else _bytes(reply.body, content_type, given.get(ENCODING_HEADER, ""))
    return Answer(
        reply.status, "replied", body, (("content-type", content_type), *headers, (EXECUTION_HEADER, execution))
    )


def _bytes(body: Any, content_type: str, encoding: str) -> bytes:
    if encoding == "base64":
        try:
            return base64.b64decode(str(body), validate=True)
        except binascii.Error as error:
            raise ValueError(f"its body is not base64: {error}") from error
    is_json = content_type.partition(";")[0].strip().lower().endswith("json")
    if isinstance(body, str) and not is_json:
        return body.encode("utf-8", "replace")
    return b"" if body is None and not is_json else to_json(body)

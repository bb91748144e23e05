"""Every answer a webhook's caller can get. The table in docs/gateway.md shows them; one place, so that it stays true."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

JSON_TYPE: Final = "application/json"
EXECUTION_HEADER: Final = "x-execution-id"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP. `reason` names it in the metrics."""

    status: int
    reason: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ((("content-type", JSON_TYPE)),)


class Rejected(Exception):
    """A request that gets no further; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says what is wrong."""

    status: HTTPStatus
    reason: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, *, execution: str = "", text: str = "") -> Answer:
        content: dict[str, Any] = {"error": text or self.text}
        headers = {"content-type": JSON_TYPE, **self.headers}
        if execution:
            content["requestId"] = headers[EXECUTION_HEADER] = execution
        return Answer(int(self.status), self.reason, json.dumps(content).encode(), tuple(headers.items()))

    def rejected(self, text: str = "") -> Rejected:
        return Rejected(self.answer(text=text))


_AGAIN: Final = {"retry-after": "1"}

BAD_REQUEST: Final = Problem(HTTPStatus.BAD_REQUEST, "bad_request", "the request is no HTTP/1.1")
LARGE_HEADERS: Final = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "large_headers", "address and headers together may have 64 KiB"
)
METHOD: Final = Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", "a webhook takes GET and POST", {"allow": "GET, POST"})
NO_FLOW: Final = Problem(HTTPStatus.NOT_FOUND, "no_flow", "this flow either does not exist or is inactive")
BLOCKED: Final = Problem(
    HTTPStatus.CONFLICT, "blocked", "this flow was called 10 times in a row while it was not active: start it first"
)
UNAUTHORISED: Final = Problem(HTTPStatus.UNAUTHORIZED, "unauthorised", "the request is not authorised")
UNAUTHORISED_BASIC: Final = Problem(
    HTTPStatus.UNAUTHORIZED,
    "unauthorised",
    "the request is not authorised",
    {"www-authenticate": 'Basic realm="nomadflows", charset="UTF-8"'},
)
TOO_LARGE: Final = Problem(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_large",
    "headers and body together may have 10 MB",
    {"connection": "close"},
)
TOO_SLOW: Final = Problem(
    HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the request did not arrive in time", {"connection": "close"}
)
BUSY: Final = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "busy",
    "too many large requests at once: try again",
    {**_AGAIN, "connection": "close"},
)
CROWDED: Final = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "crowded", "too many connections at once: try again", _AGAIN)
BAD_BODY: Final = Problem(HTTPStatus.BAD_REQUEST, "bad_body", "the body cannot be read")
BAD_TYPE: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "bad_type",
    "a body is application/json, application/xml, application/x-www-form-urlencoded or multipart/form-data; any other "
    "with ?raw=true",
)
RATE: Final = Problem(
    HTTPStatus.TOO_MANY_REQUESTS,
    "rate",
    "the webhooks of workspace {workspace} are called too often: nothing was queued",
    _AGAIN,
)
FULL: Final = Problem(
    HTTPStatus.TOO_MANY_REQUESTS, "full", "the flow's first queue is full: nothing was queued", _AGAIN
)
AWAY: Final = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "away", "the request could not be queued: try again", _AGAIN)
NO_ROOM: Final = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "no_room", "the request's files could not be kept: nothing was queued", _AGAIN
)
LOST: Final = Problem(
    HTTPStatus.BAD_GATEWAY, "lost", "the connection to the broker was lost; the flow goes on without an answer"
)
NO_REPLY: Final = Problem(HTTPStatus.GATEWAY_TIMEOUT, "no_reply", "the flow did not answer in time; it goes on")
FAILED: Final = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "the flow failed before it could answer")
BAD_REPLY: Final = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR, "bad_reply", "the flow answered with something that is no answer"
)


def accepted(execution: str) -> Answer:
    """Queued and confirmed."""
    body = b'{"requestId": "%b", "message": "thank you"}' % execution.encode()
    return Answer(int(HTTPStatus.OK), "accepted", body, (("content-type", JSON_TYPE), (EXECUTION_HEADER, execution)))

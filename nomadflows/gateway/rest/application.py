"""Serves the operations: who asks, may they, is the request well formed; then the work, in a thread of its own pool.

Webhooks run on the same event loop, so nothing here blocks it: what talks to a server does so in these threads, of
which there are few, so that a burst of calls neither starves the webhooks' own threads nor floods the servers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

import structlog
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nomadflows.clients import Clients
from nomadflows.gateway.rest import openapi, problems
from nomadflows.gateway.rest.operation import Call, Operation, flow_ref
from nomadflows.gateway.rest.problems import Forbidden, Rejected, rejected
from nomadflows.gateway.rest.shapes import encoded
from nomadflows.model.errors import NomadflowsError, NotFound
from nomadflows.model.roles import may
from nomadflows.model.users import NAME, User
from nomadflows.store import users

log = structlog.get_logger()

THREADS: Final = 8
MOST_BYTES: Final = 1 << 20
ARRIVAL_S: Final = 30.0
_JSON: Final = "application/json"
_ACCEPTED: Final = frozenset({"*/*", "application/*", _JSON, "application/vnd.api+json"})
_CHALLENGE: Final = 'Basic realm="nomadflows", charset="UTF-8"'


class Rest:
    """The ASGI application. `clients` gives each thread its own."""

    def __init__(self, clients: Callable[[], Clients], operations: Sequence[Operation]) -> None:
        self._clients = clients
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")
        self._document = json.dumps(openapi.document(operations), ensure_ascii=False).encode()
        self.app = Starlette(
            routes=[Route("/v2/openapi.json", self._describe), *self._routes(operations)],
            exception_handlers={HTTPException: _http_error},
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def close(self, *, wait: bool = False) -> None:
        self._threads.shutdown(wait=wait, cancel_futures=True)

    async def _describe(self, _request: Request) -> Response:
        return Response(self._document, media_type=_JSON)

    def _routes(self, operations: Sequence[Operation]) -> Iterable[Route]:
        """One for each path, so that a wrong method is told all right ones."""
        paths: dict[str, dict[str, Operation]] = defaultdict(dict)
        for operation in operations:
            paths[operation.path][operation.method] = operation
        for path, methods in paths.items():
            yield Route(path, self._endpoint(methods), methods=list(methods))

    def _endpoint(self, methods: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            operation = methods["GET" if request.method == "HEAD" else request.method]
            try:
                return await self._answer(operation, request)
            except Rejected as error:
                return _refusal(error)

        return endpoint

    async def _answer(self, operation: Operation, request: Request) -> Response:
        _check_accept(request)
        name, key = _shown(request)
        body = await _body(request) if operation.takes else b""
        work = functools.partial(self._work, operation, request, name, key, body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _work(self, operation: Operation, request: Request, name: str, key: str, body: bytes) -> Response:
        try:
            clients = self._clients()
            user = _known(clients, name, key)
            query = _query(operation, request)
            content = _content(operation, request, body)
            workspace = _admitted(operation, user, request.path_params, query, content)
            answer = operation.handler(Call(clients, user, workspace, request.path_params, query, content))
        except NomadflowsError as error:
            refusal = problems.of(error)
            if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                log.warning("a REST call failed", operation=operation.name, user=name, error=error.message)
            raise refusal from error
        return _reply(operation.status, answer)


# ── who asks ──────────────────────────────────────────────────────────────────────────────────────────────────


def _shown(request: Request) -> tuple[str, str]:
    """User and key as shown, in a form they could have. What cannot be a user is not looked up."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        name, _, key = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name, key = "", ""
    if scheme.lower() != "basic" or not NAME.fullmatch(name):
        raise _unauthorised()
    return name, key


def _known(clients: Clients, name: str, key: str) -> User:
    """Read at each request, so that a revoked key and a changed role hold at once."""
    found = users.find(clients.store, name)
    user = found.value if found else User(name)
    if not user.holds(key):
        raise _unauthorised()
    return user


def _unauthorised() -> Rejected:
    return rejected(
        HTTPStatus.UNAUTHORIZED,
        "user and API key, please, by HTTP Basic",
        hint="`nomadflows user key create USER` makes a key",
        www_authenticate=_CHALLENGE,
    )


def _admitted(operation: Operation, user: User, path: Mapping[str, str], query: Any, body: Any) -> str:
    """The workspace the request is about, once it is clear that the user has the right in it. A workspace that one is
    no member of is as unknown as one that does not exist."""
    if operation.needs is None:
        return ""
    workspace = _workspace(path, query, body)
    role = user.roles.get(workspace)
    if role is None:
        what = f"flow {path['flow']!r}" if "flow" in path else f"workspace {workspace!r}"
        raise NotFound(f"there is no {what}")
    if not may(role, operation.needs):
        raise Forbidden(f"{user.name} is {role} of workspace {workspace}: may not {operation.needs}")
    return workspace


def _workspace(path: Mapping[str, str], query: Any, body: Any) -> str:
    if "flow" in path:
        return flow_ref(path["flow"]).workspace
    if "workspace" in path:
        return path["workspace"]
    if "credential" in path:
        return path["credential"].partition(".")[0]
    if (named := getattr(query, "workspace_id", None)) is not None:
        return str(named)
    return str(body.data.relationships.workspace.data.id)


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_accept(request: Request) -> None:
    wanted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")]
    if not _ACCEPTED.intersection(wanted):
        raise rejected(HTTPStatus.NOT_ACCEPTABLE, f"answers are {_JSON}")


async def _body(request: Request) -> bytes:
    taken = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL_S):
            async for piece in request.stream():
                taken += piece
                if len(taken) > MOST_BYTES:
                    too_large = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                    raise rejected(too_large, f"a body may have {MOST_BYTES:,} bytes", connection="close")
    except TimeoutError:
        late = f"the body did not arrive within {ARRIVAL_S:.0f} s"
        raise rejected(HTTPStatus.REQUEST_TIMEOUT, late, connection="close") from None
    return bytes(taken)


def _query(operation: Operation, request: Request) -> Any:
    given = request.query_params.multi_items()
    try:
        return operation.query.model_validate(dict(given))
    except ValidationError as error:
        raise problems.of_query(error) from None


def _content(operation: Operation, request: Request, body: bytes) -> Any:
    """The body as its model; None where there is none and none is needed."""
    if operation.takes is None or (operation.body_optional and not body):
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _ACCEPTED:
        detail = f"a body is {_JSON}" + (f", not {kind}" if kind else ": say so in the content-type")
        raise rejected(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    try:
        return operation.takes.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise problems.of_body(error) from None


# ── the answer ────────────────────────────────────────────────────────────────────────────────────────────────


def _reply(status: HTTPStatus, answer: BaseModel | None) -> Response:
    if answer is None:
        return Response(status_code=int(status))
    links = getattr(getattr(answer, "data", None), "links", None)
    return _json(status, answer, {"location": links.self} if status is HTTPStatus.CREATED and links else {})


def _json(status: HTTPStatus, content: BaseModel, headers: Mapping[str, str]) -> Response:
    return Response(encoded(content), int(status), {"cache-control": "no-store", **headers}, media_type=_JSON)


def _refusal(error: Rejected) -> Response:
    return _json(error.status, error.errors, error.headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    """An unknown path or method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return _refusal(Rejected(status, rejected(status, error.detail).errors.errors, error.headers))

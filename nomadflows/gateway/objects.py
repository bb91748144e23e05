"""The API of the object store, as elastic.io's client library calls it.

====================================  =============================================================================
POST /objects                         keeps the body; answers `{"objectId": …, "url": …}`
GET, PUT, DELETE /objects/{id}        the bytes as they came; PUT keeps the labels it does not name
GET, DELETE /objects?query[name]=…    all that have these labels: a list of what is known of each; removes them
====================================  =============================================================================

Headers of POST and PUT: `x-query-<name>` is a label, five at most; `x-meta-<name>` is only told again; `x-eio-ttl` is
for how many seconds. A step shows its token and reaches its own workspace's objects. A signed address needs no token:
it is good for one object and one method.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nomadflows.broker.wire import new_id
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.identity import Identity
from nomadflows.gateway.step_errors import error_answer
from nomadflows.model.errors import NomadflowsError, ServerUnreachable
from nomadflows.objects.signature import Object
from nomadflows.objects.store import MOST_LABELS, Facts, Found, ObjectStore, TooLargeError
from nomadflows.vault.client import Vault

log = structlog.get_logger()

Json = dict[str, Any]

_LABEL: Final = "x-query-"
_NOTE: Final = "x-meta-"
_TTL: Final = "x-eio-ttl"
_LONGEST_S: Final = 10 * 365 * 86_400.0
_PIECE: Final = 256 << 10
_QUERY: Final = re.compile(r"query\[(.+)\]")
_Handler = Callable[[Request, str], Awaitable[Response]]


class Refusal(Exception):
    """An answer that is none of the good ones."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Objects:
    """The handlers, as `routes` of an ASGI application. `ttl_s` is for objects that do not say how long."""

    def __init__(self, store: ObjectStore, addresses: Addresses, vault: Callable[[], Vault], ttl_s: float) -> None:
        self._store = store
        self._addresses = addresses
        self._identity = Identity(vault, lambda _version: None)
        self._ttl_s = ttl_s
        self.routes = [
            self._route("/objects", "POST", self._make),
            self._route("/objects", "GET", self._list),
            self._route("/objects", "DELETE", self._remove_all),
            self._route("/objects/{id}", "GET", self._read),
            self._route("/objects/{id}", "PUT", self._replace),
            self._route("/objects/{id}", "DELETE", self._remove),
        ]

    def _route(self, path: str, method: str, handler: _Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                owner = await run_in_threadpool(self._owner, request)
                return await handler(request, owner)
            except Refusal as refusal:
                return error_answer(refusal.status, str(refusal))
            except TooLargeError as error:
                return error_answer(413, str(error))
            except ClientDisconnect:
                return error_answer(400, "the object did not arrive whole")
            except ServerUnreachable as error:
                log.warning("an object could not be given or taken", error=error.message)
                return error_answer(503, f"{error.server} cannot be reached")
            except NomadflowsError as error:
                log.warning("an object could not be given or taken", error=error.message)
                return error_answer(500, error.message)
            except OSError as error:
                log.error("the folder of objects cannot be used", error=error.strerror)  # noqa: TRY400 - says it all
                return error_answer(507, f"the folder of objects cannot be used: {error.strerror}")

        return Route(path, endpoint, methods=[method])

    def _owner(self, request: Request) -> str:
        """The version whose token is shown, or the workspace that a signed address names."""
        version = self._identity.of_token(request.headers.get("authorization", ""))
        if version is not None:
            return version.api_user
        named = Object(request.query_params.get("workspace", ""), request.path_params.get("id", ""))
        method = "GET" if request.method == "HEAD" else request.method
        if named.id and self._addresses.is_signed(method, named, request.query_params):
            return named.workspace
        raise Refusal(401, "neither a step's token nor a signed address")

    # ── one object ────────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, request: Request, owner: str) -> Response:
        named, facts = Object(_workspace(owner), new_id()), _facts(request, owner, self._ttl_s)
        await self._receive(request, named, facts)
        url = await run_in_threadpool(self._addresses.of, "GET", named, facts.expires)
        return JSONResponse({"objectId": named.id, "url": url}, status_code=201)

    async def _replace(self, request: Request, owner: str) -> Response:
        """A signed address is made before there is anything at it."""
        named = Object(_workspace(owner), request.path_params["id"])
        facts, found = _facts(request, owner, self._ttl_s), await run_in_threadpool(self._store.open, *named)
        if found is not None:
            found.file.close()
            facts = _renewed(found.facts, _facts(request, owner, found.facts.expires - found.facts.created))
        elif owner != named.workspace:
            raise Refusal(404, "there is no such object")
        await self._receive(request, named, facts)
        return JSONResponse({"objectId": named.id})

    async def _receive(self, request: Request, named: Object, facts: Facts) -> None:
        if len(facts.labels) > MOST_LABELS:
            raise Refusal(400, f"an object may have {MOST_LABELS} labels")
        with self._store.receiving(*named, facts) as file:
            async for piece in request.stream():
                await run_in_threadpool(file.write, piece)
            await run_in_threadpool(file.keep)

    async def _read(self, request: Request, owner: str) -> Response:
        found = await run_in_threadpool(self._store.open, _workspace(owner), request.path_params["id"])
        if found is None:
            raise Refusal(404, "there is no such object, or none any more")
        headers = {f"{_LABEL}{name}": value for name, value in found.facts.labels.items()}
        headers |= {f"{_NOTE}{name}": value for name, value in found.facts.notes.items()}
        headers |= {"content-type": found.facts.content_type, "content-length": str(found.size)}
        headers["cache-control"] = "no-store"
        if request.method == "HEAD":
            found.file.close()
            return Response(headers=headers)
        return StreamingResponse(_pieces(found), headers=headers)

    async def _remove(self, request: Request, owner: str) -> Response:
        if not await run_in_threadpool(self._store.remove, _workspace(owner), request.path_params["id"]):
            raise Refusal(404, "there is no such object, or none any more")
        return Response(status_code=204)

    # ── all of a label ────────────────────────────────────────────────────────────────────────────────────

    async def _list(self, request: Request, owner: str) -> Response:
        return JSONResponse([_described(one) for one in await self._found(request, owner)])

    async def _remove_all(self, request: Request, owner: str) -> Response:
        for one in await self._found(request, owner):
            await run_in_threadpool(self._store.remove, _workspace(owner), one.id)
        return Response(status_code=204)

    async def _found(self, request: Request, owner: str) -> list[Found]:
        labels = {
            match[1].lower(): value for name, value in request.query_params.items() if (match := _QUERY.fullmatch(name))
        }
        if not 0 < len(labels) <= MOST_LABELS:
            raise Refusal(400, f"which objects? ?query[name]=value, {MOST_LABELS} at most")
        return await run_in_threadpool(lambda: list(self._store.find(_workspace(owner), labels)))


def _facts(request: Request, owner: str, ttl_s: float) -> Facts:
    """`ttl_s` is for those that do not say how long."""
    now = time.time()
    return Facts(
        content_type=request.headers.get("content-type") or "application/octet-stream",
        expires=now + _seconds(request.headers.get(_TTL, ""), ttl_s),
        created=now,
        owner=owner,
        labels=_named(request, _LABEL),
        notes=_named(request, _NOTE),
    )


def _workspace(owner: str) -> str:
    return owner.partition(".")[0]


def _renewed(known: Facts, given: Facts) -> Facts:
    """Labels and notes can be added and changed, not taken away."""
    return replace(given, labels={**known.labels, **given.labels}, notes={**known.notes, **given.notes})


def _named(request: Request, prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in request.headers.items() if name.startswith(prefix)}


def _seconds(text: str, default: float) -> float:
    return min(float(text), _LONGEST_S) if text.isascii() and text.isdecimal() and int(text) else default


def _pieces(found: Found) -> Iterator[bytes]:
    with found:
        while piece := found.file.read(_PIECE):
            yield piece


def _described(found: Found) -> Json:
    facts = found.facts
    return {
        "objectId": found.id,
        "contentType": facts.content_type,
        "contentLength": found.size,
        "createdAt": int(facts.created * 1000),
        "expiresAt": int(facts.expires * 1000),
        "query": dict(facts.labels),
        "meta": dict(facts.notes),
    }

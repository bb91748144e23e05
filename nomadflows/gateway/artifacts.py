"""The artifact store of an installation that has no other: packed components, given to whoever knows their digest."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from nomadflows.artifact.archive import HostileError
from nomadflows.artifact.shelf import SUFFIX, Shelf, TooLargeError
from nomadflows.artifact.signature import HEADER, is_signed
from nomadflows.gateway.step_errors import error_answer
from nomadflows.model.errors import ServerUnreachable
from nomadflows.vault.client import Vault

log = structlog.get_logger()


class Artifacts:
    """`GET` and `HEAD` for anybody, `PUT` and `DELETE` for who signs."""

    def __init__(self, shelf: Shelf, vault: Callable[[], Vault]) -> None:
        self._shelf = shelf
        self._vault = vault
        path = f"/artifacts/{{sha256}}{SUFFIX}"
        self.routes = [
            Route(path, self._get, methods=["GET", "HEAD"]),
            Route(path, self._put, methods=["PUT"]),
            Route(path, self._delete, methods=["DELETE"]),
        ]

    async def _get(self, request: Request) -> Response:
        path = self._shelf.path(request.path_params["sha256"])
        if path is None:
            return error_answer(404, "there is no such component")
        return FileResponse(path, media_type="application/gzip", headers={"Cache-Control": "public, immutable"})

    async def _put(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        if (refusal := await run_in_threadpool(self._refusal, request)) is not None:
            return refusal
        try:
            with self._shelf.receiving(sha256) as file:
                async for chunk in request.stream():
                    file.write(chunk)
                await run_in_threadpool(file.keep)
        except TooLargeError as error:
            return error_answer(413, str(error))
        except HostileError as error:
            return error_answer(422, str(error))
        log.info("a component was stored", sha256=sha256)
        return Response(status_code=201)

    async def _delete(self, request: Request) -> Response:
        if (refusal := await run_in_threadpool(self._refusal, request)) is not None:
            return refusal
        self._shelf.remove(request.path_params["sha256"])
        return Response(status_code=204)

    def _refusal(self, request: Request) -> Response | None:
        header = request.headers.get(HEADER, "")
        try:
            key = self._vault().artifact_key()
        except ServerUnreachable as error:
            log.warning("a component could not be stored", error=error.message)
            return error_answer(503, "Vault cannot be reached")
        if is_signed(key, request.method, request.path_params["sha256"], header, time.time()):
            return None
        return error_answer(401, "the signature is not that of the key in Vault, or is some minutes old")

"""Everything a gateway serves, as one ASGI application: webhooks, REST, the API that components call, its own health."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nomadflows.broker.address import Address
from nomadflows.broker.pipeline import Pipeline
from nomadflows.clients import connect, per_thread
from nomadflows.gateway import metrics
from nomadflows.gateway.directory import Directory, FlowReader
from nomadflows.gateway.hook_objects import HookObjects
from nomadflows.gateway.hooks import PREFIX, Hooks, Receive, Scope, Send
from nomadflows.gateway.identity import claims_version
from nomadflows.gateway.replies import Replies
from nomadflows.gateway.rest.application import Rest
from nomadflows.gateway.rest.table import OPERATIONS
from nomadflows.gateway.step_routes import addresses, object_store, step_routes
from nomadflows.model.names import vhost
from nomadflows.settings import Settings
from nomadflows.vault.renewal import keep_token

log = structlog.get_logger()

Handler = Callable[[Scope, Receive, Send], object]
_LIFESPAN: Final = "lifespan"
_REST: Final = "/v2/"


class Gateway:
    """The application. Webhooks go straight to their handler, the rest through routes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pipelines: dict[str, Pipeline] = {}
        clients = per_thread(settings)
        objects = HookObjects(object_store(settings), addresses(settings, clients), settings.object_ttl)
        self._replies = Replies(objects.body)
        self._directory = Directory(FlowReader(clients))
        self._address = Address.parse(settings.amqp_uri)
        self._hooks = Hooks(
            self._directory, self._publisher, self._replies, objects, per_minute=settings.webhooks_per_minute
        )
        self._rest = Rest(clients, OPERATIONS)
        self._others = Starlette(routes=[*step_routes(settings, clients), *health_routes()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._hooks(scope, receive, send)
        elif scope["type"] == _LIFESPAN:
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(_REST) and not _is_step(scope):
            await self._rest(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    def _publisher(self, workspace: str) -> Pipeline:
        found = self._pipelines.get(workspace)
        if found is None:
            found = self._pipelines[workspace] = Pipeline(
                self._address,
                vhost(workspace),
                self._settings.timeout,
                on_reply=self._replies.take,
                on_lost=lambda: self._replies.lost(workspace),
            )
        return found

    async def _live(self, receive: Receive, send: Send) -> None:
        """The server says when it begins and when its last request is answered."""
        ended = threading.Event()
        await receive()
        keep_token(connect(self._settings).vault, ended)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        ended.set()
        self._directory.close()
        self._rest.close()
        for pipeline in self._pipelines.values():
            await pipeline.close()
        await send({"type": "lifespan.shutdown.complete"})


def _is_step(scope: Scope) -> bool:
    """Steps have a `/v2` of their own, of which they see their workspace's part; their names are none of users."""
    return any(name == b"authorization" and claims_version(value.decode("latin-1")) for name, value in scope["headers"])


def health_routes() -> list[Route]:
    """`/healthz` and `/metrics`."""

    def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def exposition(_request: Request) -> Response:
        content, media_type = metrics.exposition()
        return Response(content, media_type=media_type)

    return [Route("/healthz", healthz), Route("/metrics", exposition)]

"""Serves HTTP until told to stop, beside whatever else the process does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from nomadflows.clients import per_thread
from nomadflows.gateway.bind import host_and_port
from nomadflows.gateway.connection import Connection
from nomadflows.gateway.step_routes import object_store, step_routes
from nomadflows.objects.store import ObjectStore
from nomadflows.settings import Settings

log = structlog.get_logger()

_PAUSE_S: Final = 1.0
_SWEEP_S: Final = 3_600.0


def serve_component_api(settings: Settings, stop: threading.Event, also: Sequence[Route] = ()) -> threading.Thread:
    """Answer step processes, and `also` other routes, in a thread of its own until `stop`. InputError if the
    address makes no sense.

    A port that another process of this host holds is waited for: it is free once that one ends.
    """
    host, port = host_and_port("component_api_bind", settings.component_api_bind)
    app = Starlette(routes=[*step_routes(settings, per_thread(settings)), *also])
    config = uvicorn.Config(
        app, host=host, port=port, http=Connection, ws="none", log_config=None, access_log=False, lifespan="off"
    )
    sweep = (object_store(settings), stop)
    threading.Thread(target=_keep_sweeping, args=sweep, name="object-sweep", daemon=True).start()
    thread = threading.Thread(target=_keep_serving, args=(config, stop), name="component-api", daemon=True)
    thread.start()
    return thread


def _keep_sweeping(store: ObjectStore, stop: threading.Event) -> None:
    """What has expired is not given out any more, swept or not: this frees the disk."""
    while True:
        try:
            if count := store.sweep():
                log.info("expired objects were removed", files=count)
        except OSError as error:
            log.warning("the folder of objects cannot be swept", error=error.strerror)
        if stop.wait(_SWEEP_S):
            return


def _keep_serving(config: uvicorn.Config, stop: threading.Event) -> None:
    listener = _bound(config.host, config.port, stop)
    if listener is None:
        return
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with, args=(server, stop), name="component-api-end", daemon=True).start()
    server.run(sockets=[listener])


def _bound(host: str, port: int, stop: threading.Event) -> socket.socket | None:
    told = False
    while not stop.is_set():
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            if not told:
                log.info(
                    "the component API's address cannot be had yet; waiting for it",
                    host=host,
                    port=port,
                    error=error.strerror,
                )
            told = True
            stop.wait(_PAUSE_S)
    return None


def _end_with(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True

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

from nomadflows.artifact.shelf import Shelf
from nomadflows.clients import per_thread
from nomadflows.gateway.artifacts import Artifacts
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.gateway.connection import Connection
from nomadflows.model.errors import InputError
from nomadflows.settings import Settings

log = structlog.get_logger()

_PAUSE_S: Final = 1.0


def serve_component_api(settings: Settings, stop: threading.Event, also: Sequence[Route] = ()) -> threading.Thread:
    """Answer step processes, and `also` other routes, in a thread of its own until `stop`. InputError if the
    address makes no sense.

    A port that another process of this host holds is waited for: it is free once that one ends.
    """
    clients = per_thread(settings)
    api = ComponentApi(lambda: clients().store, lambda: clients().vault, lambda: clients().broker)
    host, _, port = settings.component_api_bind.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"component_api_bind: expected host:port, not {settings.component_api_bind!r}")
    artifacts = Artifacts(Shelf(settings.artifact_folder), lambda: clients().vault)
    app = Starlette(routes=[*api.routes, *artifacts.routes, *also])
    config = uvicorn.Config(
        app, host=host, port=int(port), http=Connection, ws="none", log_config=None, access_log=False, lifespan="off"
    )
    thread = threading.Thread(target=_keep_serving, args=(config, stop), name="component-api", daemon=True)
    thread.start()
    return thread


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
                    "the component API's address is taken; waiting for it", host=host, port=port, error=error.strerror
                )
            told = True
            stop.wait(_PAUSE_S)
    return None


def _end_with(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True

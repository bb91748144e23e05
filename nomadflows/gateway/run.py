"""Runs a gateway until it is told to stop: no new requests then, and an answer to each that is being worked on."""

from __future__ import annotations

from typing import Any, Final

import structlog
import uvicorn

from nomadflows.gateway.application import Gateway
from nomadflows.gateway.bind import host_and_port
from nomadflows.gateway.connection import Connection
from nomadflows.model.errors import InputError
from nomadflows.settings import Settings

log = structlog.get_logger()

_GRACE_S: Final = 65  # a caller waits a minute for its flow's answer, unless the flow says longer


def server(settings: Settings) -> uvicorn.Server:
    """Takes uvloop if it is there. InputError if the address to listen on makes no sense."""
    host, port = host_and_port("gateway_bind", settings.gateway_bind)
    application: Any = Gateway(settings)
    return uvicorn.Server(
        uvicorn.Config(
            application,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            http=Connection,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
    )


def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. InputError if the address cannot be listened on."""
    found = server(settings)
    log.info("gateway listens", address=settings.gateway_bind, url=settings.gateway_url)
    try:
        found.run()
    except SystemExit as error:
        raise InputError(
            f"gateway_bind: {settings.gateway_bind} cannot be listened on", hint="another program may have the port"
        ) from error
    log.info("gateway has ended")

"""Runs a gateway until it is told to stop: no new requests then, and an answer to each that is being worked on."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import structlog
import uvicorn

from nomadflows.gateway.application import Gateway
from nomadflows.model.errors import InputError
from nomadflows.settings import Settings

log = structlog.get_logger()

_GRACE_S: Final = 65  # a caller may wait a minute for its flow's answer
_CONNECTIONS: Final = 2_000
_HEADER_BYTES: Final = 64 << 10


def address(settings: Settings) -> tuple[str, int]:
    """Where to listen. InputError if the setting makes no sense."""
    host, _, port = settings.gateway_bind.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"gateway_bind: expected host:port, not {settings.gateway_bind!r}")
    return host.strip("[]"), int(port)


def server(settings: Settings) -> uvicorn.Server:
    """Takes uvloop and httptools if they are there."""
    host, port = address(settings)
    _let_any_status_pass()
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
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_HEADER_BYTES,
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


def _let_any_status_pass() -> None:
    """A flow may answer with any status to 999; the server's quick parser has lines to 599 only."""
    with contextlib.suppress(ImportError):
        from uvicorn.protocols.http import httptools_impl

        lines = httptools_impl.STATUS_LINE
        lines.update({status: b"HTTP/1.1 %d \r\n" % status for status in range(600, 1000)})

"""What a task wrote, by line, from the node that runs it."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterator
from typing import Any

import requests

from nomadflows.cluster.frames import SILENCE_S, frames
from nomadflows.cluster.wire import SERVER, Wire
from nomadflows.model.errors import ServerUnreachable


def log_lines(wire: Wire, alloc_id: str, params: dict[str, Any], *, follow: bool) -> Iterator[str]:
    """Lines without their ends; when following, until the allocation is gone. The last line may be unfinished."""
    timeout = (wire.timeout, SILENCE_S if follow else wire.timeout)
    response = wire.send(wire.api.client.stream_logs, alloc_id, stream=True, timeout=timeout, **params)
    text = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    with response:
        try:
            for frame in frames(response):
                data = base64.b64decode(frame.get("Data") or "")
                *lines, rest = (rest + text.decode(data)).split("\n")
                yield from lines
        except requests.RequestException as error:
            raise ServerUnreachable(SERVER, wire.addr, f"the log broke off: {error}") from error
    if rest:
        yield rest

"""The AMQP library, loaded without what a step does not use.

`import pika` brings its asyncio adapter and with it asyncio: a fifth of the time a step takes to start and 3 MB that
every step would hold. A placeholder stands in for that one module while the package is imported, no longer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

_UNUSED = "pika.adapters.asyncio_connection"


def _import_library() -> Any:
    known = "pika" in sys.modules
    if not known:
        placeholder: Any = ModuleType(_UNUSED)
        placeholder.AsyncioConnection = None
        sys.modules[_UNUSED] = placeholder
    import pika

    if not known:
        del sys.modules[_UNUSED]  # who asks for the adapter gets the real one
    return pika


pika = _import_library()
BasicProperties = pika.BasicProperties
ConnectionParameters = pika.ConnectionParameters
PlainCredentials = pika.PlainCredentials
SSLOptions = pika.SSLOptions
Loop = pika.adapters.IOLoop
Nack = pika.spec.Basic.Nack
exceptions = pika.exceptions
_Connection: Any = pika.SelectConnection


class SelectConnection(_Connection):  # type: ignore[misc]
    """Sends the three frames of a message with one system call instead of three."""

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        super()._output_marshaled_frames([b"".join(marshaled_frames)])

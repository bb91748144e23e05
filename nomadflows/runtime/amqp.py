"""The AMQP library, loaded without what a step does not use.

`import pika` brings its asyncio adapter and with it asyncio: a fifth of the time a step takes to start and 3 MB that
every step would hold. A placeholder stands in for that one module while the package is imported, no longer.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
encode_value = pika.data.encode_value
Nack = pika.spec.Basic.Nack
exceptions = pika.exceptions
# One read for each time the socket is readable: the second one, which only finds nothing, raises and catches an error.
_Transport: Any = pika.adapters.utils.io_services_utils._AsyncTransportBase  # noqa: SLF001
_Transport._MAX_CONSUME_BYTES = 1  # noqa: SLF001
_Transport._MAX_RECV_BYTES = 65536  # noqa: SLF001

_Connection: Any = pika.SelectConnection


class SelectConnection(_Connection):  # type: ignore[misc]
    """Sends what one turn of the loop produced at once, with one system call.

    The library hands each frame to the loop by itself, waits until the socket is writable, and makes a call for each:
    two more turns and five more calls for a message and its acknowledgement. Rests on four names the library does not
    promise; a plain write is what remains where one of them is missing.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._held: list[bytes] = []
        self._holding = False
        super().__init__(*arguments, **named)

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Hold back what the block produces until its end."""
        if self._holding:
            yield
            return
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._held:
                data, self._held = b"".join(self._held), []
                self._write(data)

    def _on_data_available(self, data_in: bytes) -> None:
        with self.one_write():
            super()._on_data_available(data_in)

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._holding:
            self._held.append(data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:  # the connection was lost in between
            return
        plain = getattr(transport, "_sock", None)
        if type(plain) is socket.socket and not transport.get_write_buffer_size():
            with suppress(OSError):  # not writable now, or broken: the library finds out by itself
                data = data[plain.send(data) :]
        if data:
            transport.write(data)

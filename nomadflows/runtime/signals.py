"""Signals as something a loop can wait for."""

from __future__ import annotations

import signal
import socket


def watch_signals() -> socket.socket:
    """SIGTERM and SIGINT become bytes in a socket, which a loop can wait for, from the very start of the process."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader

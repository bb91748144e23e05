"""Where a server of nomadflows listens: the text of a `…_bind` setting."""

from __future__ import annotations

from typing import Final

from nomadflows.model.errors import InputError

_HIGHEST_PORT: Final = 65_535


def host_and_port(setting: str, text: str) -> tuple[str, int]:
    """Of `127.0.0.1:8647`, of `[::1]:8647` without its brackets. InputError, naming `setting`, for anything else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > _HIGHEST_PORT:
        raise InputError(
            f"{setting}: expected host:port, not {text!r}", hint="for example 127.0.0.1:8647 or [::1]:8647"
        )
    return host, int(port)

"""Passes the message on: which branches get it, the mappers behind it decide."""

from __future__ import annotations

from typing import Any

from nomadflows.runtime import Message

Json = dict[str, Any]


def process(message: Message, config: Json, snapshot: Json) -> Message:
    return message

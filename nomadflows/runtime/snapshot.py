"""The step's own small state, as this process last knew it."""

from __future__ import annotations

import json
import threading
from typing import Any

from nomadflows.broker.wire import to_json

Json = dict[str, Any]


class SnapshotError(ValueError):
    """What was given is no state."""


class SnapshotStore:
    """Kept as JSON text, so that each call gets a copy of its own and what cannot be stored is refused at once."""

    def __init__(self, state: Json | None) -> None:
        self._text = to_json(state or {})
        self._lock = threading.Lock()

    def copy(self) -> Json:
        state: Json = json.loads(self._text)
        return state

    def replace(self, state: object) -> bytes:
        """Returns what to publish."""
        text = to_json(_checked(state))
        with self._lock:
            self._text = text
        return text

    def update(self, changes: object) -> bytes:
        """Shallow merge; returns what to publish."""
        members = _checked(changes)
        if "$set" in members:
            raise SnapshotError("updateSnapshot takes the members to set, not $set")
        text = to_json(members)
        with self._lock:
            self._text = to_json({**json.loads(self._text), **members})
        return text


def _checked(value: object) -> Json:
    if not isinstance(value, dict):
        raise SnapshotError(f"a snapshot is an object, not {type(value).__name__}")
    return value

"""What a step is configured with, its credential included, as this process knows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nomadflows.broker.wire import from_json, to_json

Json = dict[str, Any]


class Configuration:
    """Kept as JSON text, so that each call gets a copy of its own; what a call renews, the calls after it get. A
    process may live for months, its first token for an hour."""

    def __init__(self, config: Json, keep_keys: Callable[[object], None]) -> None:
        """`keep_keys` writes members of the credential to where the next process finds them; its errors pass through."""
        self._text = to_json(config)
        self._keep_keys = keep_keys
        self._lock = threading.Lock()

    def copy(self) -> Json:
        return from_json(self._text)

    def update_keys(self, keys: object) -> None:
        """Set members of the credential; the others stay."""
        self._keep_keys(keys)
        assert isinstance(keys, dict), "others are refused"
        with self._lock:
            self._text = to_json({**from_json(self._text), **keys})

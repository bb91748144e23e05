"""Addresses of objects that whoever has them may use: made and checked with the key that Vault keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from nomadflows.objects.signature import Object, is_signed, signed_url
from nomadflows.vault.client import Vault


class Addresses:
    """Thread-safe. The key is read once: it never changes. `base`: where steps find the objects."""

    def __init__(self, vault: Callable[[], Vault], base: str) -> None:
        self._vault = vault
        self._base = base
        self._key = ""

    def of(self, method: str, named: Object, expires: float) -> str:
        return signed_url(self._base, self._known_key(), method, named, expires)

    def is_signed(self, method: str, named: Object, query: Mapping[str, str]) -> bool:
        return bool(query.get("signature")) and is_signed(self._known_key(), method, named, query, time.time())

    def _known_key(self) -> str:
        if not self._key:
            self._key = self._vault().object_key()
        return self._key

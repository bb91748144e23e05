"""Which flow version a step process belongs to: HTTP Basic with the key that Vault keeps for that version, or a bearer
token made of that key."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from nomadflows.model.names import VersionRef, parse_api_user
from nomadflows.objects.signature import token_key
from nomadflows.vault.client import Vault

_KEY_KEPT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0


class Identity:
    """Thread-safe. `renewed` is told of a version whose key is another one than before: the flow was stopped in
    between, or even removed, and its name taken by another flow."""

    def __init__(self, vault: Callable[[], Vault], renewed: Callable[[VersionRef], None]) -> None:
        self._vault = vault
        self._renewed = renewed
        self._lock = threading.Lock()
        self._keys: dict[VersionRef, tuple[float, str]] = {}

    def of(self, authorization: str) -> VersionRef | None:
        """The version that an `Authorization` header proves; None if it proves none."""
        version, key = _claimed(authorization)
        return version if version is not None and self._is_key(version, lambda known: _same(known, key)) else None

    def of_token(self, authorization: str) -> VersionRef | None:
        """The same for the token by which steps speak to the object store."""
        scheme, _, token = authorization.partition(" ")
        user, _, key = token.rpartition(".")
        version = parse_api_user(user) if scheme.lower() == "bearer" else None
        if version is None:
            return None
        return version if self._is_key(version, lambda known: _same(token_key(known), key)) else None

    def _is_key(self, version: VersionRef, is_made_of: Callable[[str], bool]) -> bool:
        """Kept in memory for a minute. One that does not fit is read again, at most once a second: a flow that was
        stopped and started has a new key under its old name."""
        with self._lock:
            read_at, known = self._keys.get(version, (-_KEY_KEPT_S, ""))
        age = time.monotonic() - read_at
        fits = bool(known) and is_made_of(known)
        if age < (_KEY_KEPT_S if fits else _LOOK_AGAIN_S):
            return fits
        secret = self._vault().find_version_secret(version)
        before, known = known, secret.api_key if secret else ""
        if before and before != known:
            self._renewed(version)
        with self._lock:
            self._keys[version] = (time.monotonic(), known)
        return bool(known) and is_made_of(known)


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())


def claims_version(authorization: str) -> bool:
    """Whether an `Authorization` header is that of a step process, right or wrong."""
    return _claimed(authorization)[0] is not None


def _claimed(authorization: str) -> tuple[VersionRef | None, str]:
    """The version an `Authorization` header names, and the key it shows for it."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, key = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None, ""
    return (parse_api_user(user), key) if scheme.lower() == "basic" else (None, "")

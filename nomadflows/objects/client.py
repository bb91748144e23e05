"""Commands that show or repeat messages read their bodies from the object store: over HTTP, by signed addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import requests

from nomadflows.model.errors import ServerRefused, ServerUnreachable
from nomadflows.objects.signature import Object, signed_url

SERVER: Final = "The object store"
_SIGNED_S: Final = 300.0
_MISSING: Final = 404
_HINT: Final = "the controller serves it (`nomadflows dev up`, `nomadflows controller run`)"


class ObjectReader:
    """`key`: what addresses are signed with, asked for at the first of them."""

    def __init__(self, url: str, key: Callable[[], str], timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._known_key = ""
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, named: Object) -> bytes | None:
        """None if there is none, or none any more."""
        return self._ask("GET", named)

    def exists(self, named: Object) -> bool:
        return self._ask("HEAD", named) is not None

    def _ask(self, method: str, named: Object) -> bytes | None:
        self._known_key = self._known_key or self._key()
        url = signed_url(self.url, self._known_key, "GET", named, time.time() + _SIGNED_S)
        try:
            answer = self._session.request(method, url, timeout=self._timeout)
        except requests.RequestException as error:
            reason = "no answer in time" if isinstance(error, requests.Timeout) else "connection refused or lost"
            raise ServerUnreachable(SERVER, self.url, reason, hint=_HINT) from None  # its text holds the signature
        if answer.ok:
            return answer.content
        if answer.status_code == _MISSING:
            return None
        raise ServerRefused(SERVER, self.url, f"HTTP {answer.status_code}", status=answer.status_code)

"""Bodies that are too large for a message: fetched before a component sees it, put into the object store on the way out.

A body that lies in the store leaves `{}` in the message and the object's id in its headers; so do those of earlier steps
in the passthrough. Objects are encrypted as messages are. While the store is away, a step waits for it: its messages
stay in their queue.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

from nomadflows.broker import wire
from nomadflows.runtime.http import request
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

TIMEOUT_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
_REFUSED: Final = 400
_SERVER_ERROR: Final = 500

logger = logging.getLogger("nomadflows.objects")


class ObjectError(Exception):
    """A body that cannot be fetched, or not be put away."""


class Objects:
    """Thread-safe: it holds no connection."""

    def __init__(self, settings: Settings, crypto: wire.Crypto) -> None:
        self._base = urlsplit(settings.object_uri.rstrip("/"))
        self._headers = {"Authorization": f"Bearer {settings.object_token}"}
        self._crypto = crypto
        self._emits = settings.emits_light
        self._threshold = settings.object_threshold

    def is_light(self, message: Json) -> bool:
        """Whether any of its bodies lies in the store."""
        return any(_object_of(part) for part in _parts(message))

    def resolve(self, message: Json) -> None:
        """Put all bodies into it. ObjectError if there is one no more. The message itself is as if it had never been
        light, so that a component may pass on its headers with another body."""
        for part in _parts(message):
            if found := _object_of(part):
                part["body"] = self._fetch(found)
        if isinstance(headers := message.get("headers"), dict):
            headers.pop(wire.OBJECT_HEADER, None)

    def before_emitting(self, message: Json, size: int) -> Callable[[], None] | None:
        """What has to be done with the store before a message of so many bytes goes out; None if nothing."""
        if self._emits:
            return (lambda: self._lighten(message)) if size > self._threshold else None
        bare = [part for part in _earlier(message) if _object_of(part) and not part.get("body")]
        return (lambda: self._fill(bare)) if bare else None

    def _lighten(self, message: Json) -> None:
        """Bodies that lie in the store already stay there. What a message has in common with others of its call is
        changed in place, header first: whoever sees the empty body sees the id too."""
        bodies = [(part, wire.to_json(part.get("body"))) for part in _parts(message)]
        if sum(len(body) for _, body in bodies) <= self._threshold:
            return
        for part, body in bodies:
            known = _object_of(part) if part is not message else None
            part["headers"] = {**(part.get("headers") or {}), wire.OBJECT_HEADER: known or self._keep(body)}
            part["body"] = {}

    def _fill(self, parts: list[Json]) -> None:
        for part in parts:
            part["body"] = self._fetch(str(_object_of(part)))

    def _fetch(self, object_id: str) -> Any:
        try:
            content = self._request("GET", f"/objects/{quote(object_id, safe='')}", None)
            return wire.decrypt_json(self._crypto, content)
        except (ObjectError, wire.WireError) as error:
            raise ObjectError(f"Failed to get message body with id={object_id}") from error

    def _keep(self, body: bytes) -> str:
        try:
            return str(json.loads(self._request("POST", "/objects", self._crypto.encrypt(body)))["objectId"])
        except (ObjectError, ValueError, KeyError, TypeError) as error:
            raise ObjectError("Lightweight message/passthrough body upload error") from error

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        """The answer. ObjectError for a refusal."""
        if not self._base.hostname:
            raise ObjectError("this step knows no object store")
        address = self._base.path + path
        return patiently(
            f"{method} {path}", lambda: request(self._base, method, address, self._headers, body, timeout=TIMEOUT_S)
        )


def patiently(what: str, ask: Callable[[], tuple[int, bytes]]) -> bytes:
    """What the store answers. ObjectError for a refusal; no answer and 5xx mean: again, for ever."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            status, answer = ask()
            if status < _REFUSED:
                return answer
            if status < _SERVER_ERROR:
                raise ObjectError(f"the object store answers {status}")
            problem = f"HTTP {status}"
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        logger.warning("The object store is away (%s: %s); next attempt soon", what, problem)
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads steps that wait together
        pause = min(pause * 2, LONGEST_PAUSE_S)


def _earlier(message: Json) -> Iterator[Json]:
    """What it carries of earlier steps, as far as that is messages."""
    passthrough = message.get("passthrough")
    if isinstance(passthrough, dict):
        for part in passthrough.values():
            if isinstance(part, dict):
                yield part


def _parts(message: Json) -> Iterator[Json]:
    yield message
    yield from _earlier(message)


def _object_of(part: Json) -> str | None:
    headers = part.get("headers")
    found = headers.get(wire.OBJECT_HEADER) if isinstance(headers, dict) else None
    return str(found) if found else None

"""The component API as a step uses it: its configuration, and the state of its start-up hook.

Plain `http.client`: the only HTTP a step process does is a request or two at start.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import random
import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit

from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

TIMEOUT_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
_SERVER_ERROR: Final = 500
_CONFLICT: Final = 409

logger = logging.getLogger("nomadflows.api")


class ApiRefusalError(Exception):
    """The API answered, and the answer is no. The text is what the API said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Abandoned(Exception):  # noqa: N818 - not a failure: the process was told to stop
    """The process was told to stop while it waited for the API."""


class PlatformApi:
    """Requests that are repeated while the API is away, until `stopping` is set."""

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._base = urlsplit(settings.api_uri)
        user = f"{settings.api_username}:{settings.api_key}".encode()
        self._headers = {"Authorization": "Basic " + base64.b64encode(user).decode(), "Accept": "application/json"}
        self._step_path = f"/v1/tasks/{_escaped(settings.flow)}/steps/{_escaped(settings.step)}"
        self._hook_path = f"/sailor-support/hooks/task/{_escaped(settings.flow)}/startup/data"
        self._stopping = stopping

    def step(self) -> Json:
        """The step object: config, snapshot, variables, is_passthrough."""
        step = json.loads(self._request("GET", self._step_path) or b"null")
        if not isinstance(step, dict):
            raise ApiRefusalError(200, f"the step configuration is {type(step).__name__}, not an object")
        return step

    def store_startup_state(self, state: object) -> None:
        """What the start-up hook returned, kept until the flow stops."""
        kept = state if isinstance(state, (dict, list)) or (isinstance(state, str) and state) else {}
        body = json.dumps(kept).encode()
        try:
            self._request("POST", self._hook_path, body)
        except ApiRefusalError as refusal:
            if refusal.status != _CONFLICT:
                raise
            self._request("DELETE", self._hook_path)
            self._request("POST", self._hook_path, body)

    def startup_state(self) -> Any:
        return json.loads(self._request("GET", self._hook_path) or b"null")

    def delete_startup_state(self) -> None:
        self._request("DELETE", self._hook_path)

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One answer below 400. 4xx is raised; no answer and 5xx mean: again, for ever."""
        return self._while_away(lambda: self._attempt(method, path, body), f"{method} {path}")

    def _while_away(self, attempt: Callable[[], tuple[int, bytes]], what: str) -> bytes:
        pause = FIRST_PAUSE_S
        while True:
            try:
                status, answer = attempt()
                if status < http.client.BAD_REQUEST:
                    return answer
                if status < _SERVER_ERROR:
                    raise ApiRefusalError(status, answer.decode(errors="replace") or f"HTTP {status}")
                problem = f"HTTP {status}"
            except (OSError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
            logger.warning("The component API is away (%s: %s); next attempt in %.1f s", what, problem, pause)
            if self._stopping.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - spreads steps that start together
                raise Abandoned(what)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _attempt(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        host = self._base.hostname or ""
        connect = http.client.HTTPSConnection if self._base.scheme == "https" else http.client.HTTPConnection
        connection = connect(host, self._base.port, timeout=TIMEOUT_S)
        try:
            headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
            connection.request(method, self._base.path + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _escaped(text: str) -> str:
    """Ids of mappers hold colons, which a path may."""
    return quote(text, safe=":")

"""The component API as a step uses it: its configuration, its credential, the state of its start-up hook."""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
from typing import Any, Final
from urllib.parse import quote, urlsplit

from nomadflows.runtime.http import request
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

TIMEOUT_S: Final = 15.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
_REFUSED: Final = 400
_SERVER_ERROR: Final = 500
_CONFLICT: Final = 409

logger = logging.getLogger("nomadflows.api")


class ApiRefusalError(Exception):
    """The API answered, and the answer is no. The text is what the API said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Abandoned(Exception):
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

    def update_account(self, name: str, keys: object) -> None:
        """Members of the credential to set; the others stay. ValueError for what are none."""
        if not name:
            raise ValueError("updateKeys without a credential: this step names none")
        if not isinstance(keys, dict):
            raise ValueError(f"updateKeys takes the members to set, not {type(keys).__name__}")  # noqa: TRY004 - as above
        self._request("PUT", f"/v1/accounts/{_escaped(name)}", json.dumps({"keys": keys}).encode())

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
        pause = FIRST_PAUSE_S
        while True:
            try:
                path_there = self._base.path + path
                status, answer = request(self._base, method, path_there, self._headers, body, timeout=TIMEOUT_S)
                if status < _REFUSED:
                    return answer
                if status < _SERVER_ERROR:
                    raise ApiRefusalError(status, answer.decode(errors="replace") or f"HTTP {status}")
                problem = f"HTTP {status}"
            except OSError as error:
                problem = f"{type(error).__name__}: {error}"
            logger.warning("The component API is away (%s %s: %s); next attempt soon", method, path, problem)
            if self._stopping.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - spreads steps that start together
                raise Abandoned(path)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def _escaped(text: str) -> str:
    """Ids of mappers hold colons, which a path may."""
    return quote(text, safe=":")

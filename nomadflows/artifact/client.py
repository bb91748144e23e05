"""`component deploy` and `component delete` speak to the artifact store: the component API, or any other over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import requests

from nomadflows.artifact.shelf import SUFFIX
from nomadflows.artifact.signature import HEADER, sign
from nomadflows.model.errors import NotFound, ServerRefused, ServerUnreachable

SERVER: Final = "The artifact store"
_UPLOAD_S: Final = 300.0
_MISSING: Final = 404
_HINT: Final = "the controller serves it (`nomadflows dev up`, `nomadflows controller run`); artifact_url names another"


class ArtifactStore:
    """`key` is asked for when something is to be changed; `authorization` is sent as it is, to stores that want it."""

    def __init__(self, url: str, key: Callable[[], str], *, authorization: str = "", timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        if authorization:
            self._session.headers["Authorization"] = authorization

    def address(self, sha256: str) -> str:
        return f"{self.url}/{sha256}{SUFFIX}"

    def put(self, path: Path, sha256: str) -> None:
        """Also where it is there: what came a moment ago is not taken for forgotten."""
        with path.open("rb") as file:
            self._ask("PUT", sha256, data=file, timeout=(self._timeout, _UPLOAD_S))

    def put_if_missing(self, path: Path, sha256: str) -> None:
        if self._ask("HEAD", sha256) == _MISSING:
            self.put(path, sha256)

    def remove(self, sha256: str) -> None:
        self._ask("DELETE", sha256)

    def _ask(self, method: str, sha256: str, **more: object) -> int:
        headers = {} if method == "HEAD" else {HEADER: sign(self._key(), method, sha256, time.time())}
        try:
            answer = self._session.request(
                method,
                self.address(sha256),
                headers=headers,
                **{"timeout": self._timeout, **more},  # type: ignore[arg-type]
            )
        except requests.RequestException as error:
            reason = "no answer in time" if isinstance(error, requests.Timeout) else "connection refused or lost"
            raise ServerUnreachable(SERVER, self.url, reason, hint=_HINT) from error
        if answer.ok or (answer.status_code == _MISSING and method in {"HEAD", "DELETE"}):
            return answer.status_code
        if answer.status_code == _MISSING:
            raise NotFound(f"{self.url} takes no components", hint=_HINT)
        said = answer.text.strip()[:300]
        raise ServerRefused(SERVER, self.url, f"HTTP {answer.status_code} {said}", status=answer.status_code)

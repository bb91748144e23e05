"""The API that step processes call: what am I, and with what do I work.

`GET /v1/tasks/{flow}/steps/{step}` answers the step's configuration and snapshot. A step proves which flow version
it belongs to by HTTP Basic with the key that Vault keeps for that version; it sees nothing of another.
Stateless: any number of processes may serve it. No secret passes through: credentials go from Vault to the step.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nomadflows.broker.broker import Broker
from nomadflows.model.errors import NomadflowsError, NotFound, ServerUnreachable
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import RunStep, expand
from nomadflows.model.names import SNAPSHOT_QUEUE, VersionRef, parse_api_user
from nomadflows.store.store import Store
from nomadflows.vault.client import Vault

log = structlog.get_logger()

_KEY_KEPT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0
_SNAPSHOTS_WAIT_S: Final = 2.0


class ComponentApi:
    """The handlers, as `routes` of an ASGI application. Clients are asked for in each request's thread."""

    def __init__(self, store: Callable[[], Store], vault: Callable[[], Vault], broker: Callable[[], Broker]) -> None:
        self._store = store
        self._vault = vault
        self._broker = broker
        self._lock = threading.Lock()
        self._keys: dict[VersionRef, tuple[float, str]] = {}
        self._steps: dict[VersionRef, dict[str, RunStep]] = {}
        self.routes = [Route("/v1/tasks/{flow}/steps/{step:path}", self._step, methods=["GET"])]

    def _step(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except NotFound as error:
            return _problem(404, error.message)
        except ServerUnreachable as error:
            log.warning("a step was told to come back", error=error.message)
            return _problem(503, f"{error.server} cannot be reached")
        except NomadflowsError as error:
            log.warning("a step could not be answered", error=error.message)
            return _problem(500, error.message)

    def _answer(self, request: Request) -> Response:
        version = self._who(request)
        if version is None:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="nomadflows"'})
        if request.path_params["flow"] != version.flow:
            return _problem(403, "this key belongs to another flow")
        step = self._steps_of(version).get(request.path_params["step"])
        if step is None:
            return _problem(404, f"version {version.number} has no step {request.path_params['step']}")
        self._snapshots_settled(version.workspace)
        snapshot = self._store().snapshot(version.ref, step.id)
        return JSONResponse(
            {
                "id": step.id,
                "comp_id": step.use,
                "function": step.function,
                "config": step.config,
                "snapshot": snapshot.value if snapshot else {},
                "is_passthrough": step.passthrough,
                "variables": {},
            }
        )

    def _who(self, request: Request) -> VersionRef | None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, key = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        version = parse_api_user(user)
        if scheme.lower() != "basic" or version is None:
            return None
        return version if self._is_key(version, key) else None

    def _is_key(self, version: VersionRef, key: str) -> bool:
        """Kept in memory for a minute. One that does not fit is read again, at most once a second: a flow that was
        stopped and started has a new key under its old name."""
        with self._lock:
            read_at, known = self._keys.get(version, (-_KEY_KEPT_S, ""))
        age = time.monotonic() - read_at
        fits = bool(known) and secrets.compare_digest(known.encode(), key.encode())
        if age < (_KEY_KEPT_S if fits else _LOOK_AGAIN_S):
            return fits
        secret = self._vault().find_version_secret(version)
        known = secret.api_key if secret else ""
        with self._lock:
            self._keys[version] = (time.monotonic(), known)
        return bool(known) and secrets.compare_digest(known.encode(), key.encode())

    def _steps_of(self, version: VersionRef) -> dict[str, RunStep]:
        with self._lock:
            if version in self._steps:
                return self._steps[version]
        document = self._store().version(version)
        if document is None:
            raise NotFound(f"version {version.number} of flow {version.flow} does not exist")
        steps = {step.id: step for step in expand(FlowDefinition.from_json(document["definition"]))}
        with self._lock:
            self._steps[version] = steps
        return steps

    def _snapshots_settled(self, workspace: str) -> None:
        """A step that starts again must see what its predecessor wrote last, so what still waits for the
        controller comes first. Bounded: a controller that is away must not keep steps from starting for ever."""
        deadline = time.monotonic() + _SNAPSHOTS_WAIT_S
        while self._broker().waiting(workspace, SNAPSHOT_QUEUE) and time.monotonic() < deadline:
            time.sleep(0.02)


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)

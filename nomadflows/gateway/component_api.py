"""The API that step processes call: what am I, with what do I work, keep this for me.

A step proves which flow version it belongs to (`identity`) and sees nothing of another. Stateless: any number of
processes may serve it. Credentials pass through here only for components that cannot read them from a file
(`accounts`); no answer with one may be kept on its way.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, NamedTuple

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nomadflows.broker.broker import Broker
from nomadflows.broker.wire import Crypto, new_id
from nomadflows.gateway import calls, startup_state
from nomadflows.gateway.accounts import Accounts, keys_of
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.identity import Identity
from nomadflows.gateway.step_errors import error_answer
from nomadflows.model.errors import Conflict, InputError, NomadflowsError, NotFound, ServerRefused, ServerUnreachable
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import RunStep, expand
from nomadflows.model.names import SNAPSHOT_QUEUE, FlowRef, VersionRef
from nomadflows.objects.signature import Object
from nomadflows.store.documents import FlowRecord
from nomadflows.store.store import Store
from nomadflows.vault.client import Vault

log = structlog.get_logger()

_SNAPSHOTS_WAIT_S: Final = 2.0
_LARGEST_BODY: Final = 1_048_576
_VERSIONS_KEPT: Final = 1_000
_UPLOAD_S: Final = 18_000
_PRIVATE: Final = {"Cache-Control": "no-store"}

_Handler = Callable[[VersionRef, Request, bytes], Response]


class _Known(NamedTuple):
    """Of a version's definition, which never changes."""

    steps: dict[str, RunStep]
    variables: dict[str, str]


class TooLargeError(Exception):
    """A body over what any of these requests has."""


class ComponentApi:
    """The handlers, as `routes` of an ASGI application. Clients are asked for in each request's thread."""

    def __init__(
        self,
        store: Callable[[], Store],
        vault: Callable[[], Vault],
        broker: Callable[[], Broker],
        *,
        addresses: Addresses,
        object_ttl_s: float,
    ) -> None:
        self._store = store
        self._vault = vault
        self._broker = broker
        self._addresses = addresses
        self._object_ttl_s = object_ttl_s
        self._identity = Identity(vault, self._forget)
        self._accounts = Accounts(vault)
        self._lock = threading.Lock()
        self._versions: OrderedDict[VersionRef, _Known] = OrderedDict()
        hook = "/sailor-support/hooks/task/{flow}/startup/data"
        secret = "/v2/workspaces/{workspace}/secrets/{name}"  # noqa: S105 - a path
        self.routes = [
            self._route("/v1/tasks/{flow}/steps/{step:path}", "GET", self._step),
            self._route(hook, "POST", self._keep_state),
            self._route(hook, "GET", self._state),
            self._route(hook, "DELETE", self._drop_state),
            self._route("/v1/calls/{call}/result", "POST", self._keep_result),
            self._route("/v1/accounts/{name}", "PUT", self._update_account),
            self._route(secret, "GET", self._secret),
            self._route(f"{secret}/refresh", "POST", self._refreshed),
            self._route("/v1/resources/s3/signed-url", "POST", self._signed_url),
            self._route("/v2/resources/storage/signed-url", "POST", self._signed_url),
            self._route("/v2/flows", "GET", self._flows),
            self._route("/v2/flows/", "GET", self._flows),
            self._route("/v2/flows/{flow}", "GET", self._flow),
        ]

    def _route(self, path: str, method: str, handler: _Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                body = await _body(request)
            except TooLargeError:
                return error_answer(413, f"a body may have {_LARGEST_BODY} bytes")
            return await run_in_threadpool(self._answer, handler, request, body)

        typed: Callable[[Request], Awaitable[Response]] = endpoint
        return Route(path, typed, methods=[method])

    def _answer(self, handler: _Handler, request: Request, body: bytes) -> Response:
        try:
            version = self._identity.of(request.headers.get("authorization", ""))
            if version is None:
                return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="nomadflows"'})
            params = request.path_params
            if params.get("workspace", version.workspace) != version.workspace:
                return error_answer(403, "this key belongs to another workspace")
            return handler(version, request, body)
        except NotFound as error:
            return error_answer(404, error.message)
        except Conflict:
            return error_answer(409, "it exists already")
        except InputError as error:
            return error_answer(400, error.message)
        except ServerRefused as error:
            log.warning("a step could not be answered", error=error.message)
            return error_answer(500, f"{error.server} refused")
        except ServerUnreachable as error:
            log.warning("a step was told to come back", error=error.message)
            return error_answer(503, f"{error.server} cannot be reached")
        except NomadflowsError as error:
            log.warning("a step could not be answered", error=error.message)
            return error_answer(500, error.message)

    # ── the step object ───────────────────────────────────────────────────────────────────────────────────

    def _step(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        if request.path_params["flow"] != version.flow:
            return error_answer(403, "this key belongs to another flow")
        step = self._steps_of(version).get(request.path_params["step"])
        if step is None:
            return error_answer(404, f"version {version.number} has no step {request.path_params['step']}")
        config = (
            self._accounts.config_of(version, step, self._language(version, step)) if step.credential else step.config
        )
        self._snapshots_settled(version.workspace)
        snapshot = self._store().snapshot(version.ref, step.id)
        return JSONResponse(
            {
                "id": step.id,
                "comp_id": step.use,
                "function": step.function,
                "config": config,
                "snapshot": snapshot.value if snapshot else {},
                "is_passthrough": step.passthrough,
                "variables": self._known(version).variables,
            },
            headers=_PRIVATE,
        )

    def _language(self, version: VersionRef, step: RunStep) -> str:
        """Of the component the step runs: as resolved at the flow's start, else as it would be resolved now."""
        store = self._store()
        resolved = _resolved(store.flow(version.ref), version).get(step.id, "").partition("@")[2] or step.pinned
        found = store.component(step.use, resolved) if resolved else store.newest_component(step.use)
        if found is None:
            raise NotFound(f"component {step.use} of step {step.id} is not known")
        return found.language

    def _steps_of(self, version: VersionRef) -> dict[str, RunStep]:
        return self._known(version).steps

    def _known(self, version: VersionRef) -> _Known:
        with self._lock:
            if version in self._versions:
                return self._versions[version]
        document = self._store().version(version)
        if document is None:
            raise NotFound(f"version {version.number} of flow {version.flow} does not exist")
        definition = FlowDefinition.from_json(document["definition"])
        known = _Known({step.id: step for step in expand(definition)}, definition.variables)
        with self._lock:
            self._versions[version] = known
            while len(self._versions) > _VERSIONS_KEPT:
                self._versions.popitem(last=False)
        return known

    def _forget(self, version: VersionRef) -> None:
        with self._lock:
            self._versions.pop(version, None)

    def _snapshots_settled(self, workspace: str) -> None:
        """A step that starts again must see what its predecessor wrote last, so what still waits for the
        controller comes first. Bounded: a controller that is away must not keep steps from starting for ever."""
        deadline = time.monotonic() + _SNAPSHOTS_WAIT_S
        while self._broker().waiting(workspace, SNAPSHOT_QUEUE) and time.monotonic() < deadline:
            time.sleep(0.02)

    # ── the start-up hook's state ─────────────────────────────────────────────────────────────────────────

    def _keep_state(self, version: VersionRef, request: Request, body: bytes) -> Response:
        """The hook has been run: the process that comes after this one must not run it again."""
        ref = _own_flow(version, request)
        startup_state.keep(self._store(), self._crypto(ref), ref, body, request.headers.get("content-type", ""))
        self._vault().require_startup(version, required=False)
        return JSONResponse({}, status_code=201)

    def _state(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        ref = _own_flow(version, request)
        return JSONResponse(startup_state.kept(self._store(), self._crypto(ref), ref), headers=_PRIVATE)

    def _drop_state(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        startup_state.drop(self._store(), _own_flow(version, request))
        return Response(status_code=204)

    def _crypto(self, ref: FlowRef) -> Crypto:
        secret = self._vault().flow_secret(ref)
        return Crypto(secret.crypto_password, secret.crypto_iv)

    # ── what a component answers outside a flow ───────────────────────────────────────────────────────────

    def _keep_result(self, version: VersionRef, request: Request, body: bytes) -> Response:
        if request.path_params["call"] != version.flow:
            return error_answer(403, "this key belongs to another call")
        calls.keep(self._store(), version, body)
        return JSONResponse({})

    # ── credentials ───────────────────────────────────────────────────────────────────────────────────────

    def _update_account(self, version: VersionRef, request: Request, body: bytes) -> Response:
        try:
            keys = keys_of(json.loads(body))
        except (ValueError, RecursionError):
            return error_answer(400, "the body is not JSON")
        name = request.path_params["name"]
        self._accounts.update(version, self._credentials_of(version), name, keys)
        log.info("a component updated its credential", version=str(version), credential=name)
        return JSONResponse({"id": name})

    def _secret(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        name = request.path_params["name"]
        return JSONResponse(self._accounts.secret(version, self._credentials_of(version), name), headers=_PRIVATE)

    def _refreshed(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        name = request.path_params["name"]
        found = self._accounts.refresh(version, self._credentials_of(version), name)
        log.info("a component had its credential renewed", version=str(version), credential=name)
        return JSONResponse(found, headers=_PRIVATE)

    def _credentials_of(self, version: VersionRef) -> Collection[str]:
        """The names of those a key opens."""
        asked_with = self._accounts.of_question(version)
        if asked_with is not None:
            return asked_with
        return {step.credential for step in self._steps_of(version).values() if step.credential}

    # ── attachments ───────────────────────────────────────────────────────────────────────────────────────

    def _signed_url(self, version: VersionRef, _request: Request, _body: bytes) -> Response:
        """Two addresses of an object that is not there yet. What is put there can be read as long as it is kept."""
        named, now = Object(version.workspace, new_id()), time.time()
        return JSONResponse(
            {
                "put_url": self._addresses.of("PUT", named, now + _UPLOAD_S),
                "get_url": self._addresses.of("GET", named, now + _UPLOAD_S + self._object_ttl_s),
                "expires": _UPLOAD_S,
            },
            headers=_PRIVATE,
        )

    # ── flows of the workspace, by name ───────────────────────────────────────────────────────────────────

    def _flows(self, version: VersionRef, _request: Request, _body: bytes) -> Response:
        records = self._store().flows(version.workspace)
        return JSONResponse({"data": [_resource(record) for record in records], "meta": {"total": len(records)}})

    def _flow(self, version: VersionRef, request: Request, _body: bytes) -> Response:
        try:
            ref = FlowRef.parse(f"{version.workspace}/{request.path_params['flow']}")
        except ValueError:
            return error_answer(404, "there is no such flow")
        record = self._store().flow(ref)
        return JSONResponse({"data": _resource(record)}) if record else error_answer(404, "there is no such flow")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            raise TooLargeError
    return bytes(body)


def _own_flow(version: VersionRef, request: Request) -> FlowRef:
    if request.path_params["flow"] != version.flow:
        raise NotFound("this key belongs to another flow")
    return version.ref


def _resolved(record: FlowRecord | None, version: VersionRef) -> dict[str, str]:
    status = record.status.value if record else None
    if status and status.version == version.number:
        return status.components
    if status and status.incoming == version.number:
        return status.incoming_components
    return {}


def _resource(record: FlowRecord) -> dict[str, Any]:
    status = record.status.value
    attributes = {"name": record.ref.flow, "status": status.state.value.lower(), "type": record.meta.value.kind.value}
    return {"id": record.ref.flow, "type": "flow", "attributes": attributes}

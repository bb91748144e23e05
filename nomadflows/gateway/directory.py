"""Which flow a webhook address stands for now: read in Consul and Vault, remembered for a second.

A second old is new enough, since a version that goes has its exchange deleted before its queues: who publishes to it
meanwhile is refused, and looks again. While Consul or Vault is away, what was known last goes on for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from nomadflows.broker.wire import Crypto
from nomadflows.clients import Clients
from nomadflows.gateway.auth import NO_AUTH, Auth, is_for_callers, parse
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import InputError, NomadflowsError, NotFound, ServerUnreachable
from nomadflows.model.flow import FlowDefinition, StepDefinition
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import FlowState, Status, WantedState

log = structlog.get_logger()

_TAKES_INPUT: Final = ACTIVE | {FlowState.SUSPENDING, FlowState.SUSPENDED}  # a suspended flow's queues go on filling
REPLY_TIMEOUT_S: Final = 60.0
LONGEST_REPLY_S: Final = 900.0
_FRESH_S: Final = 1.0
_CREDENTIAL_FRESH_S: Final = 10.0
_SILENCE_S: Final = 3.0  # how long nobody is asked after a server did not answer
_STALE_S: Final = 300.0  # how long what is known is used while Consul does not answer
_NAMES_KEPT: Final = 10_000
_READERS: Final = 8


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook's requests go, and how."""

    version: VersionRef
    trigger: str
    crypto: Crypto = field(repr=False)
    auth: Auth = NO_AUTH
    answers: bool = False  # a step of the flow replies, so the caller waits
    reply_timeout_s: float = REPLY_TIMEOUT_S
    raw: bool = False


Find = Callable[[FlowRef], Target | None]


@dataclass(slots=True)
class _Known:
    """What was read of a flow, and when. `late`: since then a server did not answer."""

    at: float
    target: Target | None
    late: bool = False


class Directory:
    """Answers on the event loop; reads in threads.

    A server that hangs costs each call its time-out. So nobody asks again within three seconds of one, and a flow that
    is known is answered for at once from then on, while it is read behind the caller's back.
    """

    def __init__(self, find: Find, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._known: OrderedDict[FlowRef, _Known] = OrderedDict()
        self._reading: dict[FlowRef, asyncio.Task[Target | None]] = {}
        self._silence: tuple[float, ServerUnreachable] | None = None  # the last failure
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="directory")

    async def target(self, ref: FlowRef) -> Target | None:
        """None: unknown, stopped, or no webhook. ServerUnreachable if that cannot be told."""
        known = self._known.get(ref)
        if known is not None and self._clock() - known.at < _FRESH_S:
            return known.target
        if known is not None and self._clock() - known.at > _STALE_S:
            known = None
        if known is None or not (known.late or self._silent()):
            try:
                return await self._read(ref)
            except ServerUnreachable:
                if known is None:
                    raise
        elif not self._silent():
            self._begin(ref)
        known.late = True
        return known.target

    async def look_again(self, ref: FlowRef) -> Target | None:
        """What was known turned out to be wrong."""
        self._known.pop(ref, None)
        return await self._read(ref)

    async def _read(self, ref: FlowRef) -> Target | None:
        return await asyncio.shield(self._begin(ref))

    def _begin(self, ref: FlowRef) -> asyncio.Task[Target | None]:
        task = self._reading.get(ref)
        if task is None:
            task = self._reading[ref] = asyncio.create_task(self._read_now(ref))
            task.add_done_callback(lambda done: self._done(ref, done))
        return task

    async def _read_now(self, ref: FlowRef) -> Target | None:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, ref)
        self._known[ref] = _Known(self._clock(), found)
        self._known.move_to_end(ref)
        while len(self._known) > _NAMES_KEPT:
            self._known.popitem(last=False)
        return found

    def _ask(self, ref: FlowRef) -> Target | None:
        """In a thread. Those that waited for it while others found a server silent need not find that out again."""
        silence = self._silence
        if silence is not None and self._silent():
            raise silence[1]
        try:
            return self._find(ref)
        except ServerUnreachable as error:
            log.warning("goes on with what is known of flows", flow=str(ref), error=error.message)
            self._silence = self._clock(), error
            raise

    def _silent(self) -> bool:
        return self._silence is not None and self._clock() - self._silence[0] < _SILENCE_S

    def _done(self, ref: FlowRef, task: asyncio.Task[Target | None]) -> None:
        self._reading.pop(ref, None)
        if not task.cancelled():
            task.exception()  # whoever waited has been told

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What never changes while a flow runs one version since one start."""

    trigger: str
    credential: str
    component: ComponentVersion
    crypto: Crypto = field(repr=False)
    answers: bool
    reply_timeout_s: float
    raw: bool


class FlowReader:
    """Reads targets with each thread's own clients; keeps what cannot have changed."""

    def __init__(self, clients: Callable[[], Clients], clock: Callable[[], float] = time.monotonic) -> None:
        self._clients = clients
        self._clock = clock
        self._plans: OrderedDict[tuple[VersionRef, str, str], _Plan | None] = OrderedDict()
        self._auths: dict[tuple[str, str, str], tuple[float, Auth]] = {}

    def __call__(self, ref: FlowRef) -> Target | None:
        clients = self._clients()
        record = clients.store.flow(ref)
        if record is None or record.desired.value.state is WantedState.STOPPED:
            return None
        status = record.status.value
        if status.state not in _TAKES_INPUT or not status.input_version:
            return None
        version = ref.version(status.input_version)
        plan = self._plan(clients, version, status)
        if plan is None:
            return None
        auth = self._auth(clients, ref.workspace, plan) if plan.credential else NO_AUTH
        return Target(version, plan.trigger, plan.crypto, auth, plan.answers, plan.reply_timeout_s, plan.raw)

    def _plan(self, clients: Clients, version: VersionRef, status: Status) -> _Plan | None:
        """A new start may have resolved newer components; a flow made anew under its old name has new keys."""
        key = (version, status.started, repr(sorted(status.components.items())))
        if key not in self._plans:
            self._plans[key] = _read_plan(clients, version, status)
            while len(self._plans) > _NAMES_KEPT:
                self._plans.popitem(last=False)
        return self._plans[key]

    def _auth(self, clients: Clients, workspace: str, plan: _Plan) -> Auth:
        """Kept for ten seconds, longer while Vault is away."""
        name, key = plan.credential, (workspace, plan.credential, plan.component.ref)
        read_at, known = self._auths.get(key, (float("-inf"), None))
        if known is not None and self._clock() - read_at < _CREDENTIAL_FRESH_S:
            return known
        try:
            credential = clients.vault.read_credential(workspace, name)
        except ServerUnreachable:
            if known is None or self._clock() - read_at > _STALE_S:
                raise
            return known
        if credential is None:
            raise NotFound(f"there is no credential {name} in workspace {workspace}")
        auth = parse(credential) if is_for_callers(credential, plan.component.descriptor) else NO_AUTH
        self._auths[key] = (self._clock(), auth)
        return auth


def _read_plan(clients: Clients, version: VersionRef, status: Status) -> _Plan | None:
    document = clients.store.version(version)
    if document is None:
        raise NotFound(f"version {version.number} of flow {version.flow} does not exist")
    definition = FlowDefinition.from_json(document["definition"])
    found = {step.id: _component(clients, status, step) for step in definition.steps}
    trigger = definition.trigger
    component = found[trigger.id]
    if component is None or component.is_polling(trigger.function):
        return None
    secret = clients.vault.version_secret(version)
    settings = trigger.with_
    return _Plan(
        trigger=trigger.id,
        credential=trigger.credential or "",
        component=component,
        crypto=Crypto(secret.crypto_password, secret.crypto_iv),
        answers=any(_replies(step, found[step.id]) for step in definition.steps),
        reply_timeout_s=_seconds(settings.get("reply_timeout")),
        raw=settings.get("consume_raw_data") is True or bool(component.descriptor.get("consumesRawData")),
    )


def _component(clients: Clients, status: Status, step: StepDefinition) -> ComponentVersion | None:
    name, _, number = status.components.get(step.id, "").partition("@")
    return clients.store.component(name, number) if number else None


def _replies(step: StepDefinition, component: ComponentVersion | None) -> bool:
    """Its descriptor says so."""
    return component is not None and component.replies(step.function)


def _seconds(value: Any) -> float:
    """The trigger's own `reply_timeout`; the default for what is no number of seconds."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return REPLY_TIMEOUT_S
    return seconds if 0 < seconds <= LONGEST_REPLY_S else REPLY_TIMEOUT_S


def explain(error: NomadflowsError) -> str:
    """What may be said to a stranger: which server, never where it is."""
    if isinstance(error, ServerUnreachable):
        return f"{error.server} cannot be reached: try again"
    return "the flow's webhook is not set up right" if isinstance(error, InputError) else "try again"

"""Messages through a component without broker, API or queue: on its author's desk, and in its own tests.

The calls run by the code a step process runs them by; what they would publish is collected, and confirmed at once. ::

    trial = Trial("orders-component", "fetch", config={"path": "in"})
    outcome = trial.give({"body": {"id": 7}})
    assert [message["body"] for message in outcome.of("data")] == [{"id": 7, "state": "new"}]
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, NamedTuple

from nomadflows.broker import wire
from nomadflows.runtime.amqp import BasicProperties
from nomadflows.runtime.call import Step
from nomadflows.runtime.component import load
from nomadflows.runtime.configuration import Configuration
from nomadflows.runtime.envelope import Envelope
from nomadflows.runtime.objects import Objects
from nomadflows.runtime.settings import PREFIX, Settings
from nomadflows.runtime.snapshot import SnapshotStore
from nomadflows.runtime.work import Finished, Output, Verdict, Work
from nomadflows.runtime.worker import Worker

Json = dict[str, Any]

_KEYS: Final = ("data", "error", "rebound", "snapshot")
_REPLY: Final = "reply"  # the key on which a caller would wait
_ACCOUNT: Final = "credential"
_NEEDLESS: Final = (
    "USER_ID", "API_URI", "API_USERNAME", "API_KEY", "AMQP_URI", "LISTEN_MESSAGES_ON", "PUBLISH_MESSAGES_TO",
)  # fmt: skip
_AS_DEPLOYED: Final = {"NO_SELF_PASSTRHOUGH": "true", "PROTOCOL_VERSION": "2"}


class Emitted(NamedTuple):
    """One thing a component gave. `event`: data, error, rebound, snapshot, updateSnapshot, updateKeys, reply."""

    event: str
    content: Any


class Outcome(NamedTuple):
    """What became of one message, in the order in which it came."""

    emitted: list[Emitted]
    rejected: bool

    def of(self, event: str) -> list[Any]:
        return [one.content for one in self.emitted if one.event == event]


class Trial:
    """One component, loaded and initialised as by a step; what it keeps between messages, it keeps here too."""

    def __init__(
        self,
        folder: str,
        function: str,
        *,
        config: Json | None = None,
        credential: Json | None = None,
        snapshot: Json | None = None,
        variables: Json | None = None,
    ) -> None:
        """ComponentError for a folder that does not hold what its descriptor promises; the errors of its module and of
        its `init` as they are. Neither `startup` nor `shutdown` is run: they act upon other systems."""
        given = dict(config or {})
        if credential is not None:
            given = {**given, **credential, "_account": _ACCOUNT}
        known = Configuration(given, self._update_keys)
        self._credential = credential is not None
        self._component = load(folder, function)
        self._emitted: list[Emitted] = []
        self._crypto = wire.Crypto("trial", "0" * wire.BLOCK)
        self._snapshot = SnapshotStore(snapshot)
        settings = _settings(folder, function)
        step = Step(
            settings, self._crypto, Envelope(settings), self._snapshot, passthrough=True, variables=variables or {},
            post=self._post, update_keys=known.update_keys, objects=Objects(settings, self._crypto),
        )  # fmt: skip
        self._worker = Worker(self._component, known, step, self._finish)
        self._rejected = False
        self._component.run_hook("init", known.copy())

    @property
    def snapshot(self) -> Json:
        """The step's state as it is now."""
        return self._snapshot.copy()

    def give(self, message: Json, *, previous_step: str = "") -> Outcome:
        """One message, worked to its end. `previous_step`: whose output it is, if anybody's."""
        self._emitted = []
        content = {"id": wire.new_id(), **message}
        headers = {"messageId": wire.new_id(), "threadId": wire.new_id(), "protocolVersion": wire.PROTOCOL}
        headers |= {"reply_to": _REPLY} | ({"stepId": previous_step} if previous_step else {})
        work = Work(None, 0, BasicProperties(headers=headers), wire.encode(self._crypto, content))
        if self._component.is_async:
            asyncio.run(self._worker.run_async(work))
        else:
            self._worker.run(work)
        return Outcome(self._emitted, self._rejected)

    def _finish(self, finished: Finished) -> None:
        self._rejected = finished.verdict is Verdict.REJECT

    def _update_keys(self, keys: object) -> None:
        """Only the names are told: the values are a credential's."""
        if not self._credential:
            raise ValueError("updateKeys without a credential")
        if not isinstance(keys, dict):
            raise ValueError(f"updateKeys takes the members to set, not {type(keys).__name__}")  # noqa: TRY004 - as in use
        self._emitted.append(Emitted("updateKeys", sorted(keys)))

    def _post(self, output: Output) -> None:
        assert output.work is not None
        output.work.on_confirm(len(output.body))  # nobody waits for a broker here
        properties = BasicProperties().decode(b"".join(output.properties.encode()))
        self._emitted.append(self._read(output.routing_key, properties.headers, output.body))

    def _read(self, key: str, headers: wire.Headers, body: bytes) -> Emitted:
        if key == "error":
            error, _ = wire.decode_error_members(self._crypto, body)
            return Emitted("error", error)
        if key == "snapshot":
            return Emitted(str(headers["snapshotEvent"]), json.loads(body))
        if key == "rebound":
            return Emitted("rebound", {"reason": headers["reboundReason"]})
        if key == _REPLY:
            reply = wire.decode_reply(self._crypto, body, headers)
            return Emitted("reply", {"status": reply.status, "headers": reply.headers, "body": reply.body})
        return Emitted("data", _as_emitted(wire.decode(self._crypto, body, headers), key))


def _as_emitted(message: Json, key: str) -> Json:
    """Without the header that says that a caller waits, with the wish for a key of its own."""
    headers = {name: value for name, value in message["headers"].items() if (name, value) != ("reply_to", _REPLY)}
    return {**message, "headers": headers if key == "data" else {**headers, wire.ROUTING_KEY_HEADER: key}}


def _settings(folder: str, function: str) -> Settings:
    """As a deployed step has them, with names that lead nowhere."""
    environ = dict.fromkeys(_NEEDLESS, "trial")
    environ |= {f"{key.upper()}_ROUTING_KEY": key for key in _KEYS}
    environ |= {"FLOW_ID": "trial", "EXEC_ID": "trial.v1", "STEP_ID": "step", "CONTAINER_ID": "trial"}
    environ |= {"WORKSPACE_ID": "default", "COMP_ID": "component", "FUNCTION": function}
    environ |= {"MESSAGE_CRYPTO_PASSWORD": "trial", "MESSAGE_CRYPTO_IV": "0" * wire.BLOCK, "NO_ERROR_REPLIES": "true"}
    whole = {f"{PREFIX}{name}": value for name, value in (environ | _AS_DEPLOYED).items()}
    return Settings({**whole, "NOMADFLOWS_COMPONENT_DIR": folder})

"""What a step needs before it can consume: its configuration, its component, its hooks.

Runs beside the connecting to the broker, in the thread that works messages later. Half of it is waiting for the API, which it does
while the main thread imports the AMQP library; its own imports wait until the main thread waits for the broker.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from nomadflows.broker import wire
from nomadflows.runtime.component import Component, load
from nomadflows.runtime.platform_api import Abandoned, PlatformApi
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

logger = logging.getLogger("nomadflows.runtime")


class Prepared(NamedTuple):
    """Everything but the connection."""

    component: Component
    config: Json
    snapshot: Json
    variables: Json
    passthrough: bool
    update_keys: Callable[[object], None]


class Preparation:
    """What was prepared, the error, or None if told to stop: its `outcome`, once `then` is called."""

    def __init__(self, settings: Settings, crypto: wire.Crypto) -> None:
        self._settings = settings
        self._crypto = crypto
        self._stopping = threading.Event()
        self._connecting = threading.Event()
        self._outcome: Prepared | BaseException | None = None
        self._then: Callable[[], None] | None = None
        self._next: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._run, name="component", daemon=True).start()

    def go_on(self, serve: Callable[[], None]) -> None:
        """What the thread does from now on: its component's hooks and calls all happen in one thread."""
        self._next.put(serve)

    def stop(self) -> None:
        """Give up waiting for the API; a hook that runs is not disturbed."""
        self._stopping.set()
        self._connecting.set()

    def on_connecting(self, then: Callable[[], None]) -> None:
        """The main thread waits for the broker now; `then` is called once, in the preparing thread, when everything is
        ready."""
        self._then = then
        self._connecting.set()

    def outcome(self) -> Prepared | BaseException | None:
        """None: told to stop before it was ready."""
        return self._outcome

    def _run(self) -> None:
        try:
            self._outcome = self._prepare()
        except Abandoned:
            self._outcome = None
        except BaseException as error:  # noqa: BLE001 - becomes the start-up error of the step
            self._outcome = error
        self._connecting.wait()  # an error may be quicker than the main thread
        if self._then is not None:
            self._then()
        self._crypto.load()  # while the broker answers; a message that is quicker waits for it
        self._next.get()()

    def _prepare(self) -> Prepared:
        api = PlatformApi(self._settings, self._stopping)
        step = api.step()
        config = with_credential(step.get("config") or {}, self._settings.credential_file)
        self._connecting.wait()
        component = load(self._settings.component_dir, self._settings.function)
        if self._settings.startup_required:
            api.store_startup_state(component.run_hook("startup", _copy(config)))
        component.run_hook("init", _copy(config))
        return Prepared(
            component,
            config,
            snapshot=step.get("snapshot") or {},
            variables=step.get("variables") or {},
            passthrough=step.get("is_passthrough") is True,
            update_keys=lambda keys: api.update_account(str(config.get("_account") or ""), keys),
        )


def with_credential(config: Json, path: str) -> Json:
    """The members of the credential file as members of the configuration, as the platform hands credentials over."""
    if not path:
        return config
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be imported for this alone
            credential = json.load(file)
    except OSError as error:
        raise RuntimeError(f"the credential file cannot be read: {error.strerror}") from error
    except ValueError:
        raise RuntimeError("the credential file is not JSON") from None  # the cause would quote it
    if not isinstance(credential, dict):
        raise RuntimeError("the credential file does not hold an object")  # noqa: TRY004 - not a caller's mistake
    return {**config, **credential}


def _copy(config: Json) -> Json:
    return wire.from_json(wire.to_json(config))


def run_shutdown_hook(settings: Settings) -> None:
    """The other way a component is started: only to undo, when its flow stops, what its start-up hook did."""
    api = PlatformApi(settings, threading.Event())
    config = with_credential(api.step().get("config") or {}, settings.credential_file)
    state = api.startup_state()
    load(settings.component_dir, settings.function).run_hook("shutdown", config, state)
    api.delete_startup_state()

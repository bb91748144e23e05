"""Listens for what is meant for the controller: messages for parked flows, and snapshots of steps.

A thread and a connection for each workspace, reconnecting for ever. Queues keep what comes while nobody listens.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import pika
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from nomadflows.broker.address import Address
from nomadflows.broker.faults import innermost
from nomadflows.model.errors import Conflict, InputError, NomadflowsError, Refused
from nomadflows.model.names import SNAPSHOT_QUEUE, WAKE_QUEUE, VersionRef, parse_rebound_key, vhost

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 30
PAUSE_S: Final = (0.1, 5.0)  # between attempts to connect: doubled each time, with jitter
RETRY_S: Final = 1.0  # before a snapshot that could not be stored is delivered again
_TURN_S: Final = 1.0  # how long the event loop runs before it looks whether it is to stop
_JOIN_S: Final = 5.0

WakeCallback = Callable[[str, str], object]
SnapshotCallback = Callable[[VersionRef, str, str, dict[str, Any], Mapping[str, Any]], object]


class Listener:
    """One thread per watched workspace that consumes one queue of its vhost."""

    queue: str
    prefetch = 0
    auto_ack = False

    def __init__(self, amqp_uri: str, *, timeout: float = 5.0, cacert: str = "") -> None:
        self._address = Address.parse(amqp_uri, cacert)
        self._timeout = timeout
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._connections: dict[str, Any] = {}
        self._listening: dict[str, threading.Event] = {}
        self._started = False

    def start(self) -> None:
        """Begin with the workspaces watched so far."""
        with self._lock:
            self._started = True
            for thread in self._threads.values():
                thread.start()

    def watch(self, workspace: str) -> None:
        """Listen in this workspace too."""
        with self._lock:
            if workspace in self._threads or self._stopped.is_set():
                return
            self._listening[workspace] = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(workspace,), name=f"{self.queue}@{workspace}", daemon=True
            )
            self._threads[workspace] = thread
            if self._started:
                thread.start()

    def wait_listening(self, workspace: str, timeout: float) -> bool:
        """Whether it consumes, waiting for that so long."""
        return self._listening[workspace].wait(timeout)

    def stop(self) -> None:
        """End the callback in work, then all threads."""
        self._stopped.set()
        with self._lock:
            connections, threads = list(self._connections.values()), list(self._threads.values())
        for connection in connections:
            _wake_up(connection)
        for thread in threads:
            if thread.is_alive():
                thread.join(_JOIN_S)

    # ── in the thread ─────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, workspace: str) -> None:
        pause = PAUSE_S[0]
        while not self._stopped.is_set():
            try:
                self._consume(workspace)
                pause = PAUSE_S[0]
            except (pika.exceptions.AMQPError, AMQPConnectorException, OSError) as error:
                if self._listening[workspace].is_set():
                    pause = PAUSE_S[0]
                log.log(
                    logging.WARNING if pause == PAUSE_S[0] else logging.DEBUG,
                    "%s in %s is not heard at the moment: %s",
                    self.queue,
                    vhost(workspace),
                    innermost(error),
                )
            except Exception:  # also a mistake of ours or of pika's: nobody else listens here
                log.exception("%s in %s failed unexpectedly, listened to again", self.queue, vhost(workspace))
            finally:
                self._listening[workspace].clear()
                self._connections.pop(workspace, None)
            self._stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, guards nothing
            pause = min(2 * pause, PAUSE_S[1])

    def _consume(self, workspace: str) -> None:
        parameters = self._address.parameters(vhost(workspace), self._timeout, HEARTBEAT_S, f"nomadflows {self.queue}")
        connection = pika.BlockingConnection(parameters)
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=self.prefetch)
            cancelled: list[object] = []
            channel.add_on_cancel_callback(cancelled.append)
            channel.basic_consume(self.queue, self._receiver(workspace, connection), auto_ack=self.auto_ack)
            self._connections[workspace] = connection
            self._listening[workspace].set()
            while not self._stopped.is_set() and not cancelled:
                connection.process_data_events(time_limit=_TURN_S)
        finally:
            if connection.is_open:
                connection.close()

    def _receiver(self, workspace: str, connection: Any) -> Callable[[Any, Any, Any, bytes], None]:
        """What to do with a delivery, as pika calls it."""
        raise NotImplementedError


class WakeListener(Listener):
    """Tells of each message for a parked flow: `callback(workspace, "<flow>.v<n>")`, in the listener's thread.

    The message itself waits in its step's queue; this is a copy that nobody reads. The callback should only note
    the flow; what it raises is logged, and the slow sweep finds the flow.
    """

    queue = WAKE_QUEUE
    auto_ack = True

    def __init__(self, amqp_uri: str, callback: WakeCallback, *, timeout: float = 5.0, cacert: str = "") -> None:
        super().__init__(amqp_uri, timeout=timeout, cacert=cacert)
        self._callback = callback

    def _receiver(self, workspace: str, connection: Any) -> Callable[[Any, Any, Any, bytes], None]:  # noqa: ARG002
        def receive(_channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
            rebound = parse_rebound_key(workspace, str(method.routing_key))
            version = rebound[0].job_id if rebound else str(method.exchange)
            try:
                self._callback(workspace, version)
            except Exception:
                log.exception("a message for %s of %s was not heard", version, workspace)

        return receive


class SnapshotListener(Listener):
    """Hands on each snapshot: `callback(version, step, kind, data, headers)`, in the listener's thread.

    One at a time and in order. A snapshot is acknowledged when the callback returns; when it raises, the snapshot
    comes again after a pause, unless it raised what no repetition can mend (`InputError`, or `Refused` other than
    `Conflict`): then it is dropped with a warning, as one is that cannot be read.
    """

    queue = SNAPSHOT_QUEUE
    prefetch = 1

    def __init__(self, amqp_uri: str, callback: SnapshotCallback, *, timeout: float = 5.0, cacert: str = "") -> None:
        super().__init__(amqp_uri, timeout=timeout, cacert=cacert)
        self._callback = callback

    def _receiver(self, workspace: str, connection: Any) -> Callable[[Any, Any, Any, bytes], None]:
        def receive(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if self._hand_on(workspace, method, properties.headers or {}, body):
                channel.basic_ack(method.delivery_tag)
            else:
                connection.call_later(RETRY_S, lambda: channel.basic_nack(method.delivery_tag, requeue=True))

        return receive

    def _hand_on(self, workspace: str, method: Any, headers: Mapping[str, Any], body: bytes) -> bool:
        """Whether this snapshot is dealt with."""
        version = VersionRef.parse_job(workspace, str(method.exchange))
        step = str(method.routing_key).removesuffix(".snapshot")
        kind = str(headers.get("snapshotEvent", "snapshot"))
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if version is None or not isinstance(data, dict):
            log.warning(
                "what %s sent through %s is no snapshot and was dropped", step, method.exchange or "no exchange"
            )
            return True
        try:
            self._callback(version, step, kind, data, headers)
        except Conflict as error:
            log.info("the snapshot of step %s of %s is stored later: %s", step, version, error)
            return False
        except (InputError, Refused, RecursionError) as error:  # the last of a snapshot of some thousand levels
            log.warning("the snapshot of step %s of %s was dropped: %s", step, version, error)
        except NomadflowsError as error:
            log.warning("the snapshot of step %s of %s could not be stored yet: %s", step, version, error)
            return False
        except Exception:
            log.exception("the snapshot of step %s of %s could not be stored yet", step, version)
            return False
        return True


def _wake_up(connection: Any) -> None:
    """End the event loop's turn from another thread."""
    try:
        connection.add_callback_threadsafe(lambda: None)
    except pika.exceptions.ConnectionWrongStateError:
        log.debug("a listener's connection was closed already")

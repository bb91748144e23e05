"""The step process: broker thread and life cycle. Puts link, outbox, preparation and pool together.

The main thread runs the AMQP library's loop and nothing else, so heartbeats are kept whatever a component does.

::

    delivery ──▶ pool: a worker thread runs the component ──▶ posted ──▶ outbox ──▶ confirmed ──▶ ack
                                                              (the mailbox wakes the loop once per batch)
"""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from nomadflows.broker import wire
from nomadflows.runtime.amqp import Loop
from nomadflows.runtime.call import Step, describe
from nomadflows.runtime.configuration import Configuration
from nomadflows.runtime.envelope import Envelope
from nomadflows.runtime.link import Link
from nomadflows.runtime.mailbox import Mailbox
from nomadflows.runtime.objects import Objects
from nomadflows.runtime.outbox import Outbox
from nomadflows.runtime.pool import LoopPool, Pool, ThreadPool
from nomadflows.runtime.preparation import Preparation, Prepared
from nomadflows.runtime.settings import Settings
from nomadflows.runtime.snapshot import SnapshotStore
from nomadflows.runtime.work import Finished, Output, Verdict, Work
from nomadflows.runtime.worker import Worker

logger = logging.getLogger("nomadflows.runtime")

READY: Final = "Fully initialized and waiting for messages"
START_ERROR_S: Final = 10.0  # how long a start-up error may wait for somebody to take it
_FATAL: Final = 1


class StepProcess:
    """`run` returns the exit code."""

    def __init__(self, settings: Settings, crypto: wire.Crypto, preparation: Preparation) -> None:
        self._settings = settings
        self._crypto = crypto
        self._preparation = preparation
        self._envelope = Envelope(settings)
        self._loop = Loop()
        self._outbox = Outbox(
            settings.exchange,
            first_pause_s=settings.publish_retry_ms / 1000,
            longest_pause_s=settings.publish_retry_max_ms / 1000,
            call_later=self._loop.call_later,
            on_confirmed=self._on_confirmed,
        )
        name = f"{settings.exec_id} {settings.step} {settings.container}"
        self._link = Link(settings.amqp_uri, name, settings.queue, settings.prefetch, loop=self._loop, owner=self)
        self._pool: Pool | None = None
        self._mailbox: Mailbox[Output | Finished] = Mailbox(self._on_posted, self._loop.add_callback_threadsafe)
        self._consumer: Any = None  # the channel deliveries come by now
        self._in_work: set[Work] = set()
        self._prepared = False
        self._stopping = False
        self._exit_code = 0

    def run(self, wakeup: socket.socket) -> int:
        """Until a signal, or an error at start. `wakeup` gets a byte for each signal."""
        self._loop.add_handler(wakeup.fileno(), lambda *_: self._on_signal(wakeup), self._loop.READ)
        self._link.connect()
        self._preparation.on_connecting(lambda: self._loop.add_callback_threadsafe(self._on_prepared))
        try:
            self._loop.start()
        except Exception:
            logger.critical("The runtime failed", exc_info=True)
            return _FATAL
        return self._exit_code

    # -- start

    def _on_prepared(self) -> None:
        outcome = self._preparation.outcome()
        self._prepared = True
        if isinstance(outcome, Prepared):
            self._make_pool(outcome)
        elif outcome is not None:
            self._fail(outcome)
            return
        if self._stopping or outcome is None:
            self._link.close()
        else:
            self._link.consume()

    def _make_pool(self, prepared: Prepared) -> None:
        settings = self._settings
        config = Configuration(prepared.config, prepared.update_keys)
        step = Step(
            settings, self._crypto, self._envelope, SnapshotStore(prepared.snapshot), prepared.passthrough,
            prepared.variables, self._mailbox.post, config.update_keys, Objects(settings, self._crypto),
        )  # fmt: skip
        worker = Worker(prepared.component, config, step, self._mailbox.post)
        pool: Pool = (
            LoopPool(worker, settings.prefetch)
            if prepared.component.is_async
            else ThreadPool(worker, settings.prefetch, self._loop.call_later)
        )
        self._preparation.go_on(pool.serve)
        self._pool = pool

    def _fail(self, error: BaseException) -> None:
        """An error at start: told on the error key, then exit 1."""
        logger.error("The step cannot start", exc_info=error)
        self._exit_code = _FATAL
        properties = self._envelope.properties({"messageId": wire.new_id()})
        body = wire.error_body(self._crypto, describe(error), None)
        self._outbox.put(Output(None, self._settings.error_key, body, properties))
        self._loop.call_later(START_ERROR_S, self._loop.stop)

    def on_refused(self, reason: str) -> None:
        """The broker does not let this process in: another start may be given another password."""
        logger.error("The broker refuses this step: %s", reason)
        self._exit_code = _FATAL
        self._loop.stop()

    def on_no_queue(self, reason: str) -> None:
        self._fail(RuntimeError(reason))

    # -- link

    def on_publishing(self, channel: Any) -> None:
        self._outbox.attach(channel)

    def on_publishing_lost(self) -> None:
        self._outbox.detach()
        self._leave_if_done()

    def on_confirm(self, frame: Any) -> None:
        self._guarded(self._outbox.on_confirm, frame)

    def on_consuming(self, channel: Any) -> None:
        if self._consumer is None:
            logger.info(READY)
            gc.freeze()
            gc.enable()
        self._consumer = channel

    def on_consuming_lost(self) -> None:
        """What was delivered comes again: forget what no worker has begun. What has begun goes on."""
        if self._pool is not None:
            self._in_work.difference_update(self._pool.drop_waiting())
        self._leave_if_done()

    def on_delivery(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        work = Work(channel, method.delivery_tag, properties, body, redelivered=method.redelivered)
        self._in_work.add(work)
        if self._pool is not None:
            self._pool.put(work)
            if len(self._in_work) == 1 and self._settings.prefetch == 1:
                self._mailbox.wait()

    def on_closed(self) -> None:
        self._loop.stop()

    # -- from the workers

    def _on_posted(self, posted: deque[Output | Finished]) -> None:
        with self._link.one_write():
            while posted:
                item = posted.popleft()
                if isinstance(item, Output):
                    self._outbox.put(item)
                else:
                    item.work.verdict = item.verdict
                    self._on_confirmed(item.work)

    def _on_confirmed(self, work: Work | None) -> None:
        """Settles a work that has ended and whose outputs are all safe."""
        if work is None:
            self._link.close()
            return
        if work.verdict is None or not work.all_confirmed():
            return
        self._in_work.discard(work)
        channel = work.channel
        if channel.is_open:
            if work.verdict is Verdict.ACK:
                channel.basic_ack(work.tag)
            else:
                channel.basic_reject(work.tag, requeue=False)
        if self._stopping:
            self._leave_if_done()

    # -- stop

    def _on_signal(self, wakeup: socket.socket) -> None:
        wakeup.recv(64)
        if self._stopping:
            return
        logger.info("Told to stop; messages in work: %d", len(self._in_work))
        self._stopping = True
        self._preparation.stop()
        if not self._prepared:
            return  # a hook that runs is waited for; _on_prepared goes on
        self._link.cancel()
        if self._pool is not None:
            self._in_work.difference_update(self._pool.drop_waiting())
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        """Without a connection, what a component has finished cannot be settled: it will be delivered again."""
        if not self._stopping or not self._prepared:
            return
        left = self._in_work if self._link.is_up else [work for work in self._in_work if work.verdict is None]
        if not left:
            self._link.close()

    def _guarded(self, callback: Callable[..., None], *arguments: Any) -> None:
        """The AMQP library turns an error in a callback into a lost connection; ours are bugs and end the process."""
        try:
            callback(*arguments)
        except Exception:
            logger.critical("The runtime failed", exc_info=True)
            os._exit(_FATAL)

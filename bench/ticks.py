"""Two thousand flows that are due at the same moment: how late their ticks are, beside as many bare publishes.

The scheduler of a leader with its threads, and a real broker; plans and message keys come from memory, and no look follows
a tick. A tick is late by what lies between its due and the broker's confirm. The first moment after a change of leaders is
told apart: each flow's ticks queue is asked then. With jitter a flow's due is its own. Bare: as many threads publish as
many empty messages to the same exchanges, one confirm each. `ratio` is the time from the due until the last confirm, by
what the bare ones take.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pika

from bench.stack import private_stack
from nomadflows.broker.broker import Broker
from nomadflows.broker.topology import TICKED_KEY, Topology, topology
from nomadflows.controller.scheduler import SENDERS, Scheduler
from nomadflows.controller.ticks import Plan
from nomadflows.model.graph import RunStep
from nomadflows.model.names import FlowRef, VersionRef, input_key, vhost
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.model.states import Status, parse_timestamp, utc_now
from tests.world import eventually

FLOWS = int(os.environ.get("FLOWS", "2000"))
EVERY_S = 30
PATIENCE_S = 60.0
JITTER_S = 20.0
ROUNDS = 3
STEP = "poll"
SECRET = SimpleNamespace(crypto_password="a password", crypto_iv="0123456789abcdef")


class Timed(Broker):
    """Notes how late each tick was confirmed."""

    def __init__(self, uri: str, api: str, late: list[float]) -> None:
        super().__init__(uri, api, PATIENCE_S)
        self._late = late

    def publish(self, workspace: str, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> bool:
        sent = super().publish(workspace, exchange, key, body, headers)
        self._late.append((utc_now() - parse_timestamp(headers["dueAt"])).total_seconds())
        return sent


def small(version: VersionRef) -> Topology:
    """Of a flow's topology what a tick goes through."""
    full = topology(version, [RunStep(STEP, "trigger", "timer", "", "timer")], QueueLimits())
    queues = tuple(queue for queue in full.flow_queues if queue.name == version.ref.ticks_queue)
    ways = tuple(binding for binding in full.bindings if binding.key in {input_key(STEP), TICKED_KEY})
    return Topology(exchanges=full.exchanges, step_queues=full.step_queues, flow_queues=queues, bindings=ways)


@contextmanager
def a_broker() -> Iterator[tuple[str, str]]:
    """The one that NOMADFLOWS_TEST_AMQP_URI and NOMADFLOWS_TEST_RABBITMQ_API name, else a private stack's."""
    if uri := os.environ.get("NOMADFLOWS_TEST_AMQP_URI"):
        yield uri, os.environ["NOMADFLOWS_TEST_RABBITMQ_API"]
    else:
        with private_stack() as settings:
            yield settings.amqp_uri, settings.rabbitmq_api


class Bench:
    def __init__(self, uri: str, api: str, workspace: str) -> None:
        self.uri, self.api, self.workspace = uri, api, workspace
        self.versions = [FlowRef(workspace, f"flow-{number}").version(1) for number in range(FLOWS)]
        self.broker = Broker(uri, api, PATIENCE_S)
        self.broker.ensure_vhost(workspace)
        for version in self.versions:
            self.broker.declare(version, small(version))

    def close(self) -> None:
        self.broker.management.delete_vhost(vhost(self.workspace))
        self.broker.close()

    def _connection(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(self.broker.address.parameters(vhost(self.workspace), PATIENCE_S, 60, "bench"))

    def take_all(self) -> None:
        """What waits would make the next ticks be skipped."""
        with self._connection() as connection:
            channel = connection.channel()
            for version in self.versions:
                channel.queue_purge(version.queue(STEP))

    def bare(self) -> float:
        """Seconds for one confirmed publish to each flow."""
        parts = [self.versions[number::SENDERS] for number in range(SENDERS)]
        ready = threading.Barrier(SENDERS + 1)

        def publish(versions: list[VersionRef]) -> None:
            with self._connection() as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                properties = pika.BasicProperties(delivery_mode=2)
                ready.wait()
                for version in versions:
                    channel.basic_publish(version.exchange, input_key(STEP), b"{}", properties)

        threads = [threading.Thread(target=publish, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        self.take_all()
        return seconds

    def ticked(self, jitter_s: float, rounds: int) -> list[list[float]]:
        """How late each tick was, by rounds."""
        own, late = threading.local(), []

        def clients() -> Any:
            if not hasattr(own, "clients"):
                vault = SimpleNamespace(version_secret=lambda _version: SECRET)
                own.clients = SimpleNamespace(broker=Timed(self.uri, self.api, late), vault=vault)
            return own.clients

        self._wait_for_a_gap()
        scheduler = Scheduler(clients, lambda _ref: None, lambda: True)
        for version in self.versions:
            plan = Plan(version, STEP, f"*/{EVERY_S} * * * * *", "UTC", 1.0, jitter_s=jitter_s)
            scheduler.take(version.ref, plan, Status())
        scheduler.start()
        found = []
        try:
            for _ in range(rounds):
                eventually("all flows are ticked", lambda: len(late) >= FLOWS, EVERY_S + PATIENCE_S)
                found.append(sorted(late))
                late.clear()
                self.take_all()
        finally:
            scheduler.close()
        return found

    @staticmethod
    def _wait_for_a_gap() -> None:
        """Between the last tick of one moment and the first of the next."""
        eventually("a gap", lambda: JITTER_S + 1 < time.time() % EVERY_S < JITTER_S + 4, EVERY_S + PATIENCE_S)


def told(late: list[float]) -> str:
    median, worst, last = (late[int(len(late) * part)] for part in (0.5, 0.99, 0.9999))
    return f"late by {median:.2f} s (median), {worst:.2f} s (p99), {last:.2f} s (last)"


def main() -> None:
    with a_broker() as (uri, api):
        bench = Bench(uri, api, f"bench-{uuid4().hex[:8]}")
        try:
            bare = [bench.bare()]
            first, *rounds = bench.ticked(0.0, ROUNDS + 1)
            bare += [bench.bare() for _ in range(ROUNDS - 1)]
            spread = [one for late in bench.ticked(JITTER_S, 2)[1:] for one in late]
        finally:
            bench.close()
    print(f"{FLOWS} flows, {SENDERS} senders; bare: {statistics.median(bare):.2f} s for as many confirmed publishes")
    print(f"at one moment, after a change of leaders: {told(first)}")
    for late in rounds:
        print(f"at one moment: {told(late)}")
    print(f"with a jitter of {JITTER_S:.0f} s: {told(sorted(spread))}")
    print(f"ratio {statistics.median(late[-1] for late in rounds) / statistics.median(bare):.2f}")


if __name__ == "__main__":
    main()

"""One Python step under load, beside bare pika relays that only pass bytes on: messages per second.

1 KiB messages, persistent, confirmed, acknowledged after the confirm. The step also decrypts, parses, calls a
component, writes JSON and encrypts. Prefetch 1: beside a blocking relay. Prefetch 20: beside a `SelectConnection`
relay with pipelined confirms. `ratio` is the smaller of the two.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pika

from bench.steps import step_on_a_broker
from nomadflows.broker import wire
from tests.stack.runtime.harness import Harness

MESSAGES = {1: 1500, 20: 5000}
ROUNDS = 5

BLOCKING = """
import sys
import pika

channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.confirm_delivery()
channel.basic_qos(prefetch_count=1)

def relay(channel, method, properties, body):
    channel.basic_publish(sys.argv[3], "step.data", body, properties, mandatory=True)
    channel.basic_ack(method.delivery_tag)

channel.basic_consume(sys.argv[2], relay)
channel.start_consuming()
"""

PIPELINED = """
import sys
import pika

class Relay:
    def __init__(self, uri, queue, exchange):
        self.queue, self.exchange, self.sent, self.open = queue, exchange, 0, {}
        self.connection = pika.SelectConnection(pika.URLParameters(uri), on_open_callback=self.on_open)

    def on_open(self, connection):
        connection.channel(on_open_callback=self.on_channel)

    def on_channel(self, channel):
        self.channel = channel
        channel.confirm_delivery(self.on_confirm)
        channel.basic_qos(prefetch_count=20)
        channel.basic_consume(self.queue, self.on_message)

    def on_message(self, channel, method, properties, body):
        self.sent += 1
        self.open[self.sent] = method.delivery_tag
        channel.basic_publish(self.exchange, "step.data", body, properties, mandatory=True)

    def on_confirm(self, frame):
        last = frame.method.delivery_tag
        for sent in [tag for tag in self.open if tag <= last] if frame.method.multiple else [last]:
            self.channel.basic_ack(self.open.pop(sent))

Relay(*sys.argv[1:]).connection.ioloop.start()
"""


def fill(harness: Harness, count: int) -> None:
    """So many equal messages with the headers a step's output has."""
    harness.channel.queue_purge(f"{harness.name}.data")
    uuid = "2f6c1f4e-6f0b-4c57-8a0e-0d5e3e1b7a55"
    headers = {
        "execId": "flow.v1", "taskId": "flow", "workspaceId": "ws", "containerId": uuid, "userId": "nomadflows",
        "stepId": "before", "compId": "comp", "function": "act", "threadId": uuid, "parentMessageId": uuid,
        "messageId": uuid, "start": 1767225600000, "end": 1767225600001, "protocolVersion": 2,
    }  # fmt: skip
    body = wire.encode(harness.crypto, {"body": {"text": "x" * 1000}, "headers": {}})
    properties = pika.BasicProperties("application/json", "utf8", headers, 2)
    for _ in range(count):
        harness.channel.basic_publish("", harness.queue, body, properties)


def messages_per_second(harness: Harness, count: int, start: Callable[[], subprocess.Popen[str]]) -> float:
    """From the moment a tenth has come out to the last, so that the start does not count."""
    fill(harness, count)
    process = start()
    first = wait_for(harness, count // 10)
    done = wait_for(harness, count)
    process.terminate()
    process.wait()
    return (done[0] - first[0]) / (done[1] - first[1])


def wait_for(harness: Harness, count: int) -> tuple[int, float]:
    deadline = time.monotonic() + 120
    while (found := harness.depth("data")) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {found} of {count} messages came out\n{harness.log()}")
        time.sleep(0.01)
    return found, time.perf_counter()


def compare(harness: Harness, prefetch: int, bare_source: str) -> float:
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": str(prefetch)}

    def bare() -> subprocess.Popen[str]:
        arguments = [harness.amqp_uri, harness.queue, harness.name]
        return subprocess.Popen([sys.executable, "-c", bare_source, *arguments], text=True)

    def step() -> subprocess.Popen[str]:
        return harness.start(ready=False)

    count = MESSAGES[prefetch]
    pairs = [
        (messages_per_second(harness, count, bare), messages_per_second(harness, count, step)) for _ in range(ROUNDS)
    ]
    ratio = statistics.median(theirs for _, theirs in pairs) / statistics.median(bare for bare, _ in pairs)
    print(
        f"prefetch {prefetch}: bare {statistics.median(p[0] for p in pairs):.0f}/s, "
        f"step {statistics.median(p[1] for p in pairs):.0f}/s, ratio {ratio:.2f} "
        f"(single rounds {', '.join(f'{step / bare:.2f}' for bare, step in pairs)})"
    )
    return ratio


def main() -> None:
    with step_on_a_broker() as harness:
        harness.component("def process(message, config, snapshot): return {'text': message.body['text']}")
        # durable queues: persistent messages cost what they cost in a flow
        for name, key in ((f"{harness.name}.data", "step.data"), (harness.queue, "step.input")):
            harness.channel.queue_delete(name)
            harness.channel.queue_declare(name, durable=True)
            harness.channel.queue_bind(name, harness.name, key)
        print(f"pika {pika.__version__}, messages of 1 KiB")
        ratios = [compare(harness, 1, BLOCKING), compare(harness, 20, PIPELINED)]
    print(f"ratio {min(ratios):.2f}")


if __name__ == "__main__":
    main()

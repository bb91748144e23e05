"""Step process start → its queue has a consumer, beside `import pika` + connect + consume in a bare process.

Both processes are started by turns; readiness is asked of the broker (passive declare), so it is the same for both.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from bench.ratio import report
from bench.steps import step_on_a_broker
from tests.stack.runtime.harness import Harness

ROUNDS = 25

BARE = """
import sys
import pika

channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.basic_qos(prefetch_count=1)
channel.basic_consume(sys.argv[2], lambda channel, method, properties, body: None)
channel.start_consuming()
"""


def seconds_to_consume(harness: Harness, start: Callable[[], subprocess.Popen[str]]) -> float:
    since = time.perf_counter()
    process = start()
    while not harness.consumers():
        if process.poll() is not None:
            raise SystemExit(harness.log())
    took = time.perf_counter() - since
    process.terminate()
    process.wait()
    while harness.consumers():
        time.sleep(0.002)
    return took


def main() -> None:
    with step_on_a_broker() as harness:
        harness.component("def process(message, config, snapshot): return message")

        def bare() -> subprocess.Popen[str]:
            return subprocess.Popen([sys.executable, "-c", BARE, harness.amqp_uri, harness.queue], text=True)

        def step() -> subprocess.Popen[str]:
            return harness.start(ready=False)

        pairs = [(seconds_to_consume(harness, bare), seconds_to_consume(harness, step)) for _ in range(ROUNDS)]
    report("bare pika", "step", pairs)


if __name__ == "__main__":
    main()

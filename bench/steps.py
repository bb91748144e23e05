"""One step process on a broker, for measurements that need no more than that.

The broker is the one that NOMADFLOWS_TEST_AMQP_URI and NOMADFLOWS_TEST_RABBITMQ_API name, else a private stack's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.stack import private_stack
from tests.stack.runtime.harness import Harness


@contextmanager
def step_on_a_broker() -> Iterator[Harness]:
    with tempfile.TemporaryDirectory(prefix="nomadflows-steps-") as folder:
        if uri := os.environ.get("NOMADFLOWS_TEST_AMQP_URI"):
            with Harness(uri, os.environ["NOMADFLOWS_TEST_RABBITMQ_API"], Path(folder)) as harness:
                yield harness
        else:
            with (
                private_stack() as settings,
                Harness(settings.amqp_uri, settings.rabbitmq_api, Path(folder)) as harness,
            ):
                yield harness

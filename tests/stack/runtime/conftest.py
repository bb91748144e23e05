"""A step process of its own for each test, on a real broker, with an API made of twenty lines.

The broker is the one of the local stack, or, to try something quickly, the one that NOMADFLOWS_TEST_AMQP_URI and
NOMADFLOWS_TEST_RABBITMQ_API name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.stack.runtime.harness import Harness


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> SimpleNamespace:
    if uri := os.environ.get("NOMADFLOWS_TEST_AMQP_URI"):
        return SimpleNamespace(amqp_uri=uri, rabbitmq_api=os.environ["NOMADFLOWS_TEST_RABBITMQ_API"])
    settings = request.getfixturevalue("stack")
    return SimpleNamespace(amqp_uri=settings.amqp_uri, rabbitmq_api=settings.rabbitmq_api)


@pytest.fixture
def harness(broker: SimpleNamespace, tmp_path) -> Iterator[Harness]:
    with Harness(broker.amqp_uri, broker.rabbitmq_api, tmp_path) as made:
        yield made

"""A step process of its own for each test, on a real broker, with an API made of twenty lines.

The broker is the one of the local stack, or, to try something quickly, the one that NOMADFLOWS_TEST_AMQP_URI and
NOMADFLOWS_TEST_RABBITMQ_API name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from nomadflows.dependencies import install_node
from tests.stack.runtime.harness import Harness, NodeHarness

PROBE = Path(__file__).parents[2] / "components/node_probe"


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


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory) -> Path:
    """Node's library, as a deploy installs it."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROBE / name, folder)
    install_node(folder)
    return folder / "node_modules"


@pytest.fixture
def node(broker: SimpleNamespace, tmp_path, node_modules: Path) -> Iterator[NodeHarness]:
    with NodeHarness(broker.amqp_uri, broker.rabbitmq_api, tmp_path, node_modules) as made:
        yield made

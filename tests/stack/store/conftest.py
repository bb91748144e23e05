"""The store on a Consul of its own; each test below a prefix of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from nomadflows.devstack.binaries import CONSUL, Source, find
from nomadflows.model.errors import Refused
from nomadflows.model.names import FlowRef
from nomadflows.settings import cache
from nomadflows.store import Store, requests
from nomadflows.store.leadership import Leadership
from tests.stack.store.harness import DEFINITION, REF, OwnConsul


@pytest.fixture(scope="session")
def binary() -> str:
    try:
        return str(find(CONSUL, Source(cache()), lambda _: None))
    except Refused as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


@pytest.fixture(scope="session")
def consul(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnConsul]:
    server = OwnConsul(binary, tmp_path_factory.mktemp("consul"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def store(consul: OwnConsul, prefix: str) -> Iterator[Store]:
    with Store(consul.address, prefix=prefix, timeout=4.0) as made:
        yield made


@pytest.fixture
def ref(store: Store) -> FlowRef:
    """A flow with version 1 published, stopped."""
    requests.apply(store, REF, DEFINITION, by="anna")
    requests.publish(store, REF, by="anna")
    return REF


@pytest.fixture
def leadership(store: Store) -> Iterator[Callable[..., Leadership]]:
    """Makes candidates, each with a store of its own as controllers have."""
    made: list[Leadership] = []

    def make(who: str = "one", store_type: type[Store] = Store, **more: object) -> Leadership:
        own = store_type(store.client.address, prefix=store.keys.prefix, timeout=4.0)
        made.append(Leadership(own, who, **more))  # type: ignore[arg-type]
        made[-1].campaign()
        return made[-1]

    yield make
    for one in made:
        one.release()

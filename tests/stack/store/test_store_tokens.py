"""A Consul that denies everything without the token: every call carries it, and a lack of it is never an empty list."""

from __future__ import annotations

import pytest

from nomadflows.model.errors import NotFound, ServerRefused
from nomadflows.store import Store, requests
from tests.stack.store.harness import DEFINITION, REF, OwnConsul

TOKEN = "8a8b2b5a-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def closed(binary, tmp_path_factory):
    server = OwnConsul(binary, tmp_path_factory.mktemp("closed"), token=TOKEN)
    try:
        server.start()
        requests.apply(Store(server.address, TOKEN), REF, DEFINITION, by="anna")
        yield server
    finally:
        server.stop()


def test_reads_transactions_and_sessions_carry_the_token_whatever_the_environment_says(closed, monkeypatch):
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "another")
    store = Store(closed.address, TOKEN)

    assert [record.ref for record in store.flows()] == [REF]
    requests.publish(store, REF, by="anna")
    session = store.client.create_session("test", 10, 1)
    assert store.client.acquire(store.keys.leader, "{}", session)
    store.client.destroy_session(session)
    with pytest.raises(NotFound):
        store.client.renew_session(session)
    with pytest.raises(NotFound):
        store.client.acquire("tests/unlocked", "{}", session)


@pytest.mark.parametrize("token", ["", "8a8b2b5a-0000-4000-8000-000000000009"])
@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.flow(REF),
        lambda store: store.flows(),
        lambda store: store.flow_refs(),
        lambda store: store.draft(REF),
        lambda store: store.versions(REF),
        lambda store: store.components(),
        lambda store: store.put_workspace("other", {}, cas=0),
        lambda store: requests.apply(store, REF, DEFINITION, by="ben"),
        lambda store: store.client.create_session("test", 10, 1),
    ],
)
def test_who_may_not_is_told_so(closed, token, call):
    with pytest.raises(ServerRefused, match=closed.address) as caught:
        call(Store(closed.address, token))
    assert "CONSUL_HTTP_TOKEN" in str(caught.value)
    assert "000000000009" not in str(caught.value)
    assert caught.value.exit_code == 1

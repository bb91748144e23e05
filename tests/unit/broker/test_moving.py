"""Messages are moved by a connection of its own, so that the end of a mover is noticed soon."""

from __future__ import annotations

import pytest

from nomadflows.broker import broker as module
from nomadflows.broker.broker import Broker
from nomadflows.broker.link import HEARTBEAT_S, Link
from nomadflows.broker.mover import Mover
from nomadflows.model.errors import ServerUnreachable


class Spy(Link):
    """A link that tells what became of it."""

    made: list[Spy]

    def __init__(self, address: object, vhost: str, timeout: float, heartbeat_s: int = HEARTBEAT_S) -> None:
        super().__init__(address, vhost, timeout, heartbeat_s)  # type: ignore[arg-type]
        self.heartbeat_s, self.closed = heartbeat_s, False
        Spy.made.append(self)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    Spy.made = []
    monkeypatch.setattr(module, "Link", Spy)
    monkeypatch.setattr(Broker, "waiting", lambda _broker, _workspace, queue: {"full": 3}.get(queue, 0))
    return Broker("amqp://a:b@127.0.0.1:9", "http://127.0.0.1:9")


def test_the_broker_notices_within_a_minute_or_so_that_a_mover_is_gone(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mover, "move", lambda _mover, _source, _route: 3)
    assert broker.move("default", "full", "", "orders.dead") == 3
    [link] = Spy.made
    assert link.heartbeat_s <= 30
    assert link.closed


def test_nothing_is_opened_for_an_empty_queue_and_nothing_stays_open_after_a_failure(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broker.move("default", "empty", "", "orders.dead") == 0
    assert not Spy.made

    def fails(*_: object) -> int:
        raise ServerUnreachable("RabbitMQ", "memory", "it hung up")

    monkeypatch.setattr(Mover, "move", fails)
    with pytest.raises(ServerUnreachable):
        broker.move("default", "full", "", "orders.dead")
    assert Spy.made[0].closed

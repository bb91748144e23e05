"""What a gateway publishes with: full queues, exchanges that go, connections that are cut, answers that come back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from nomadflows.broker.broker import Broker
from nomadflows.broker.pipeline import Pipeline
from nomadflows.model.errors import NotFound, ServerUnreachable
from nomadflows.model.names import REPLIES, UNROUTED, input_key, reply_key, vhost
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.settings import Settings

from .conftest import Flow, until

MINE = reply_key("mine")


class Caller:
    """A pipeline, and what it was told."""

    def __init__(self, stack: Settings, broker: Broker, flow: Flow) -> None:
        self.flow = flow
        self.replies: list[tuple[str, bytes]] = []
        self.lost = 0
        self.pipeline = Pipeline(
            broker.address, vhost(flow.version.workspace), stack.timeout, on_reply=self._reply, on_lost=self._lost
        )

    def _reply(self, headers: Mapping[str, Any], body: bytes) -> None:
        self.replies.append((headers["threadId"], body))

    def _lost(self) -> None:
        self.lost += 1

    async def call(self, step: str = "a") -> bool:
        return await self.pipeline.publish(self.flow.version.exchange, input_key(step), b"{}", {"messageId": "m"})

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - whatever is waited for sets no event
                await asyncio.sleep(0.01)


@pytest.fixture
def run(stack: Settings, broker: Broker, make_flow: Callable[..., Flow]) -> Callable[..., Caller]:
    """Do something with a pipeline to a new flow, on a loop of its own."""

    def with_pipeline(do: Callable[[Caller], Awaitable[None]], **options: Any) -> Caller:
        caller = Caller(stack, broker, make_flow(**options))

        async def through() -> None:
            try:
                await do(caller)
            finally:
                await caller.pipeline.close()

        asyncio.run(through())
        return caller

    return with_pipeline


def test_a_full_queue_refuses_what_comes_with_many_confirms_in_flight(run: Callable[..., Caller]) -> None:
    async def flood(caller: Caller) -> None:
        outcomes = await asyncio.gather(*(caller.call() for _ in range(20)))
        assert outcomes.count(True) == 5
        caller.flow.broker.purge(caller.flow.version, ["a"])
        assert await caller.call()

    caller = run(flood, limits=QueueLimits(messages=5))
    assert caller.flow.ready("a") == 1


def test_an_exchange_that_goes_ends_nobody_else_s_publishing(run: Callable[..., Caller]) -> None:
    async def gone(caller: Caller) -> None:
        other = caller.flow
        assert await caller.call()
        with pytest.raises(NotFound):
            await caller.pipeline.publish("nowhere.v1", "a.input", b"{}", {})
        assert await caller.call()
        assert caller.lost == 0
        until(lambda: other.ready("a") == 2)

    run(gone)


def test_answers_come_back_from_any_version_that_was_there_before_or_not(
    run: Callable[..., Caller], make_flow: Callable[..., Flow]
) -> None:
    async def answered(caller: Caller) -> None:
        await asyncio.gather(*(caller.pipeline.listen(REPLIES, MINE) for _ in range(3)))
        caller.flow.put(MINE, b"yours", threadId="1")
        caller.flow.put(reply_key("another"), b"not yours", threadId="2")
        await caller.until(lambda: caller.replies)
        # And after the version was stopped and started, and from its successor
        caller.flow.broker.delete_version(caller.flow.version, caller.flow.topology)
        for number in (1, 2):
            await caller.pipeline.listen(REPLIES, MINE)
            make_flow(number=number).put(MINE, b"again", threadId=str(number))
        await caller.until(lambda: len(caller.replies) == 3)
        # And an answer nobody waits for is in nobody's way
        assert caller.flow.broker.waiting(caller.flow.version.workspace, UNROUTED) == 0

    assert run(answered).replies == [("1", b"yours"), ("1", b"again"), ("2", b"again")]


def test_channels_of_exchanges_not_used_lately_are_spared(
    run: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nomadflows.broker.pipeline._MOST_CHANNELS", 3)

    async def many(caller: Caller) -> None:
        await caller.pipeline.listen(REPLIES, MINE)
        for _ in range(10):
            assert await caller.call()
            for number in range(5):
                assert await caller.pipeline.publish("amq.topic", str(number), b"{}", {})
                with pytest.raises(NotFound):
                    await caller.pipeline.publish(f"nowhere.v{number}", "a.input", b"{}", {})
        assert len(caller.pipeline._lanes) <= 3
        caller.flow.put(MINE, b"yours", threadId="1")
        await caller.until(lambda: caller.replies)

    run(many)


def test_a_connection_that_is_cut_is_told_and_opened_again(run: Callable[..., Caller]) -> None:
    async def cut(caller: Caller) -> None:
        await caller.pipeline.listen(REPLIES, MINE)
        caller.pipeline._connection._transport._sock.shutdown(socket.SHUT_RDWR)
        await caller.until(lambda: caller.lost == 1)
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await caller.call()
                    break
                except ServerUnreachable:
                    await asyncio.sleep(0.05)
        await caller.pipeline.listen(REPLIES, MINE)
        caller.flow.put(MINE, b"again", threadId="1")
        await caller.until(lambda: caller.replies)

    assert run(cut).lost == 1

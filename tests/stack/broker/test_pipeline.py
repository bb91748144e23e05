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
from nomadflows.model.limits import QueueLimits
from nomadflows.model.names import input_key, vhost
from nomadflows.settings import Settings

from .conftest import Flow, until


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


def test_answers_come_back_over_the_flow_s_exchange(run: Callable[..., Caller]) -> None:
    async def answered(caller: Caller) -> None:
        exchange = caller.flow.version.exchange
        await asyncio.gather(*(caller.pipeline.listen(exchange, "reply.mine") for _ in range(3)))
        caller.flow.put("reply.mine", b"yours", threadId="1")
        caller.flow.put("reply.another", b"not yours", threadId="2")
        await caller.until(lambda: caller.replies)

    assert run(answered).replies == [("1", b"yours")]


def test_a_connection_that_is_cut_is_told_and_opened_again(run: Callable[..., Caller]) -> None:
    async def cut(caller: Caller) -> None:
        await caller.pipeline.listen(caller.flow.version.exchange, "reply.mine")
        caller.pipeline._connection._transport._sock.shutdown(socket.SHUT_RDWR)
        await caller.until(lambda: caller.lost == 1)
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await caller.call()
                    break
                except ServerUnreachable:
                    await asyncio.sleep(0.05)
        await caller.pipeline.listen(caller.flow.version.exchange, "reply.mine")
        caller.flow.put("reply.mine", b"again", threadId="1")
        await caller.until(lambda: caller.replies)

    assert run(cut).lost == 1

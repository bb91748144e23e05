"""Running a component for one message after the other: decode, call, say what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nomadflows.broker import wire
from nomadflows.runtime import log
from nomadflows.runtime.api import Message, Rebound
from nomadflows.runtime.call import Call, Step, items
from nomadflows.runtime.component import Component
from nomadflows.runtime.work import Finished, Verdict, Work

Json = dict[str, Any]

logger = logging.getLogger("nomadflows.runtime")
component_logger = logging.getLogger("component")


class CallContext:
    """The `context` argument of a component's `process`."""

    logger = component_logger

    def __init__(self, call: Call, step: Step, work: Work) -> None:
        self._call = call
        self.variables: Json = dict(step.variables)
        self.flow = step.settings.flow
        self.step = step.settings.step
        self.message_id = str((work.headers or {}).get("messageId", ""))
        self.redelivered = work.redelivered
        self.thread_id = call.thread_id
        self.previous_step = call.previous_step

    def emit(self, event: str, value: Any = None) -> None:
        self._call.emit(event, value)


class AsyncCallContext(CallContext):
    """The same for a coroutine: it waits for the broker without stopping the others on its loop."""

    async def emit(self, event: str, value: Any = None) -> None:  # type: ignore[override]
        await _off_loop(self._call, event, self._call.emit, event, value)


class Worker:
    """Everything a worker thread needs, made once."""

    def __init__(self, component: Component, config: Json, step: Step, finished: Callable[[Finished], None]) -> None:
        self._component = component
        self._config = wire.to_json(config)  # each call gets a copy of its own
        self._step = step
        self._finished = finished

    def run(self, work: Work) -> None:
        """One message, from its bytes to a verdict. Never raises."""
        verdict = Verdict.REJECT
        try:
            call = self._begin(work)
            if call is not None:
                self._call_component(call)
                verdict = call[0].verdict
        except BaseException:
            logger.exception("The runtime failed on a message; it goes to the dead letters")
        self._finished(Finished(work, verdict))

    async def run_async(self, work: Work) -> None:
        """The same for a coroutine function."""
        verdict = Verdict.REJECT
        try:
            call = self._begin(work)
            if call is not None:
                await self._await_component(call)
                verdict = call[0].verdict
        except BaseException:
            logger.exception("The runtime failed on a message; it goes to the dead letters")
        self._finished(Finished(work, verdict))

    def _begin(self, work: Work) -> tuple[Call, list[Any]] | None:
        """The call and the arguments of `process`; None for what is no message."""
        try:
            read = self._reader(work)
            message = Message.from_wire(read())
        except wire.WireError as problem:
            logger.error("A message that cannot be read is rejected: %s", problem)  # noqa: TRY400 - no trace needed
            return None
        call = Call(self._step, work, read, message.id)
        if reply_to := (work.headers or {}).get("reply_to"):
            message.headers["reply_to"] = reply_to
        log.thread_id.set(call.thread_id)
        arguments = [message, wire.from_json(self._config), self._step.snapshot.copy()]
        if self._component.takes_context:
            kind = AsyncCallContext if self._component.is_async else CallContext
            arguments.append(kind(call, self._step, work))
        return call, arguments

    def _reader(self, work: Work) -> Callable[[], Json]:
        """Gives a fresh copy of the incoming message each time, whatever a component does to the one it got."""
        headers, crypto = work.headers, self._step.crypto
        if headers is None:
            raise wire.WireError("it has no AMQP headers")
        if self._step.settings.input_is_error:
            text = wire.to_json(wire.error_message(crypto, work.body, headers))
            return lambda: wire.from_json(text)
        plain = wire.decrypt(crypto, work.body, wire.protocol_of(headers))
        return lambda: wire.parse(plain)

    def _call_component(self, begun: tuple[Call, list[Any]]) -> None:
        call, arguments = begun
        try:
            for item in items(self._component.process(*arguments)):
                call.emit_item(item)
        except Rebound as rebound:
            call.rebound(rebound)
        except BaseException as error:  # noqa: BLE001 - whatever a component raises is its answer to this message
            _report(call, error)

    async def _await_component(self, begun: tuple[Call, list[Any]]) -> None:
        call, arguments = begun
        try:
            result = self._component.process(*arguments)
            if hasattr(result, "__aiter__"):
                async for item in result:
                    await _off_loop(call, item, call.emit_item, item)
            else:
                for item in items(await result):
                    await _off_loop(call, item, call.emit_item, item)
        except Rebound as rebound:
            call.rebound(rebound)
        except BaseException as error:  # noqa: BLE001 - as above
            _report(call, error)


async def _off_loop(call: Call, event: Any, emit: Callable[..., None], *arguments: Any) -> None:
    """In a thread of its own if it would have to wait, else at once."""
    if call.is_blocking(event):
        import asyncio

        await asyncio.to_thread(emit, *arguments)
    else:
        emit(*arguments)


def _report(call: Call, error: BaseException) -> None:
    logger.error("process failed: %s", type(error).__name__)  # its text may quote the message
    call.error(error)

"""Running a component for one message after the other: decode, call, say what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nomadflows.broker import wire
from nomadflows.runtime import log
from nomadflows.runtime.api import Attachments, Message, Rebound
from nomadflows.runtime.call import Call, Rest, Step, items
from nomadflows.runtime.component import Component
from nomadflows.runtime.configuration import Configuration
from nomadflows.runtime.objects import ObjectError
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
        self._settings = step.settings

    @property
    def attachments(self) -> Attachments:
        """Loaded when somebody wants one: few do."""
        from nomadflows.runtime.attachments import StoredAttachments

        return StoredAttachments(self._settings)

    def emit(self, event: str, value: Any = None) -> None:
        _at_once(self._call.emit(event, value))


class AsyncCallContext(CallContext):
    """The same for a coroutine: it waits for the broker without stopping the others on its loop."""

    async def emit(self, event: str, value: Any = None) -> None:  # type: ignore[override]
        await _off_loop(self._call, event, self._call.emit, event, value)


class Worker:
    """Everything a worker thread needs, made once."""

    def __init__(
        self, component: Component, config: Configuration, step: Step, finished: Callable[[Finished], None]
    ) -> None:
        self._component = component
        self._config = config
        self._step = step
        self._finished = finished

    def run(self, work: Work) -> None:
        """One message, from its bytes to a verdict. Never raises."""
        verdict = Verdict.REJECT
        try:
            begun = self._begin(work)
            if begun is not None:
                call, content = begun
                if self._resolved(call, content):
                    self._call_component(call, self._arguments(call, content, work))
                verdict = call.verdict
        except BaseException:
            logger.exception("The runtime failed on a message; it goes to the dead letters")
        self._finished(Finished(work, verdict))

    async def run_async(self, work: Work) -> None:
        """The same for a coroutine function."""
        verdict = Verdict.REJECT
        try:
            begun = self._begin(work)
            if begun is not None:
                call, content = begun
                if not self._is_light(content) or await _in_thread(self._resolved, call, content):
                    await self._await_component(call, self._arguments(call, content, work))
                verdict = call.verdict
        except BaseException:
            logger.exception("The runtime failed on a message; it goes to the dead letters")
        self._finished(Finished(work, verdict))

    def _begin(self, work: Work) -> tuple[Call, Json] | None:
        """The call and the message it is about; None for what is no message."""
        try:
            read = self._reader(work)
            content = read()
        except wire.WireError as problem:
            logger.error("A message that cannot be read is rejected: %s", problem)  # noqa: TRY400 - no trace needed
            return None
        call = Call(self._step, work, read, content.get("id"))
        log.thread_id.set(call.thread_id)
        return call, content

    def _is_light(self, content: Json) -> bool:
        """Whether something is to be fetched for it first."""
        return self._component.resolves_objects and self._step.objects.is_light(content)

    def _resolved(self, call: Call, content: Json) -> bool:
        """Whether everything is there that the component is to see."""
        if self._is_light(content):
            try:
                self._step.objects.resolve(content)
            except ObjectError as error:
                _report(call, error)
                return False
        return True

    def _arguments(self, call: Call, content: Json, work: Work) -> list[Any]:
        """What `process` is called with."""
        message = Message.from_wire(content)
        if reply_to := (work.headers or {}).get("reply_to"):
            message.headers["reply_to"] = reply_to
        arguments = [message, self._config.copy(), self._step.snapshot.copy()]
        if self._component.takes_context:
            kind = AsyncCallContext if self._component.is_async else CallContext
            arguments.append(kind(call, self._step, work))
        return arguments

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

    def _call_component(self, call: Call, arguments: list[Any]) -> None:
        try:
            for item in items(self._component.process(*arguments)):
                _at_once(call.emit_item(item))
        except Rebound as rebound:
            call.rebound(rebound)
        except BaseException as error:  # noqa: BLE001 - whatever a component raises is its answer to this message
            _report(call, error)

    async def _await_component(self, call: Call, arguments: list[Any]) -> None:
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


def _at_once(rest: Rest) -> None:
    if rest is not None:
        rest()


async def _off_loop(call: Call, event: Any, emit: Callable[..., Rest], *arguments: Any) -> None:
    """In a thread of its own what would have to wait, the rest at once."""
    rest = await _in_thread(emit, *arguments) if call.is_blocking(event) else emit(*arguments)
    if rest is not None:
        await _in_thread(rest)


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *arguments)


def _report(call: Call, error: BaseException) -> None:
    logger.error("process failed: %s", type(error).__name__)  # its text may quote the message
    call.error(error)

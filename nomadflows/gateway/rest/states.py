"""What people ask of a flow: start, stop, suspend, resume, run now. Each answers at once; the flow's `current_status`
shows what comes of it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import Field

from nomadflows.gateway.rest.flow_resource import Flow
from nomadflows.gateway.rest.flows import FLOW, shown
from nomadflows.gateway.rest.operation import Call, Handler, Operation
from nomadflows.gateway.rest.shapes import One, Order, Shape
from nomadflows.model.roles import Right
from nomadflows.store import requests


class Reason(Shape):
    why: Annotated[str, Field(max_length=1000, description="Kept with the wish.")] = ""


class Stop(Reason):
    drain: Annotated[bool, Field(description="Finish queued messages first; otherwise they are dropped.")] = False


class Resume(Reason):
    force: Annotated[bool, Field(description="Although the cause of the suspension is still there.")] = False


def start(call: Call) -> One[Flow]:
    requests.start(call.store, call.ref, by=call.by, **_said(call))
    return shown(call, call.ref)


def stop(call: Call) -> One[Flow]:
    requests.stop(call.store, call.ref, by=call.by, **_said(call))
    return shown(call, call.ref)


def suspend(call: Call) -> One[Flow]:
    requests.suspend(call.store, call.ref, by=call.by, **_said(call))
    return shown(call, call.ref)


def resume(call: Call) -> One[Flow]:
    requests.resume(call.store, call.ref, by=call.by, **_said(call))
    return shown(call, call.ref)


def run_now(call: Call) -> One[Flow]:
    requests.run_now(call.store, call.ref, by=call.by)
    return shown(call, call.ref)


def _said(call: Call) -> dict[str, Any]:
    return {} if call.body is None else call.body.data.attributes.model_dump()


def _verb(verb: str, summary: str, handler: Handler, takes: type[Shape] | None) -> Operation:
    name = f"{verb.replace('-', '_')}_flow"
    return Operation(
        "POST", f"{FLOW}/{verb}", name, summary, handler, Right.RUN_FLOWS, One[Flow], HTTPStatus.ACCEPTED,
        takes=takes, body_optional=True,
    )  # fmt: skip


OPERATIONS: Final = (
    _verb("start", "Run the newest version", start, Order[Reason]),
    _verb("stop", "End it; messages are dropped unless it drains", stop, Order[Stop]),
    _verb("suspend", "Pause it; messages are kept", suspend, Order[Reason]),
    _verb("resume", "Go on after a suspension", resume, Order[Resume]),
    _verb("run-now", "One tick for its trigger, now", run_now, None),
)

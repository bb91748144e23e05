"""`nomadflows why FLOW`: what happened to a flow, in order, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.session import Session, flow_argument, pass_session

if TYPE_CHECKING:
    from nomadflows.model.why import Entry, Times, Why
    from nomadflows.store import FlowRecord

Json = dict[str, Any]

_IN_TENTHS_S = 10


@click.command()
@flow_argument
@click.option("--last", type=click.IntRange(min=1), default=None, metavar="N", help="Only the last N events.")
@pass_session
def why(session: Session, *, flow: str, last: int | None) -> None:
    """Tell a flow's history: each transition with its cause, how long it took and held, and who wished it.

    Below it: how quickly the flow came up and woke, which step was slowest, and what parking saved. The last 200
    events are kept; the figures of --last are those of all of them.

    \b
    Examples:
      nomadflows why orders-to-warehouse
      nomadflows why orders-to-warehouse --last 10
      nomadflows why orders-to-warehouse -o json | jq .parked_share
    """
    from nomadflows.model.states import utc_now
    from nomadflows.model.why import explain

    record = existing(session, session.ref(flow))
    told = explain(session.store.events(record.ref), record.status.value, _memory(session, record), utc_now())
    shown = told.entries[-last:] if last else told.entries
    output.emit(session.output, why_json(record, told, shown), lambda: why_text(record, told, shown))


def _memory(session: Session, record: FlowRecord) -> int:
    """MiB of all processes of the version that is active, else of the latest one; 0 without any."""
    from nomadflows.controller.versions import Versions
    from nomadflows.model.flow import FlowDefinition
    from nomadflows.model.graph import expand
    from nomadflows.model.why import memory

    number = record.status.value.version or record.meta.value.latest
    version = session.store.version(record.ref.version(number)) if number else None
    if version is None:
        return 0
    components = Versions().components(session.store, record.status.value.components)
    return memory(expand(FlowDefinition.from_json(version["definition"])), components, record.desired.value.scale)


def why_json(record: FlowRecord, told: Why, shown: tuple[Entry, ...]) -> Json:
    """The shape programs rely on. What is not known is null, never absent."""
    status = record.status.value
    return {
        "workspace": record.ref.workspace, "flow": record.ref.flow, "state": status.state.value, "since": status.since or None,
        "events": [asdict(entry) for entry in shown],
        "warm_ups": asdict(told.warm_ups) if told.warm_ups else None,
        "wakes": asdict(told.wakes) if told.wakes else None,
        "slowest_step": {"step": told.slowest[0], "ready_s": told.slowest[1]} if told.slowest else None,
        "ready_s": {step.id: step.ready_s for step in status.steps},
        "parked_share": told.parked_share, "parked_s": told.parked_s, "saved_gib_hours": told.saved_gib_hours,
    }  # fmt: skip


def why_text(record: FlowRecord, told: Why, shown: tuple[Entry, ...]) -> str:
    """For people: a line for each event, then the figures."""
    status = record.status.value
    head = f"{record.ref} is {status.state}" + (f" for {output.ago(status.since)}" if status.since else "")
    table = output.table(
        ["AT", "STATE", "HELD", "WHY", "TOOK", "WHO"],
        [
            [
                _moment(e.at),
                e.state if e.lasted_s is not None else "",
                _held(e, shown),
                f"{e.reason}: {e.message}",
                _took(e),
                e.by,
            ]
            for e in shown
        ],
        none="Nothing has happened to it yet.",
    )
    facts = output.fields(
        [
            ("warm-up", _times(told.warm_ups, "start")),
            ("wake", _times(told.wakes, "wake")),
            (
                "slowest step",
                f"{told.slowest[0]}, ready after {told.slowest[1]:.2f} s, at the last start or wake"
                if told.slowest
                else "",
            ),
            ("parked", _parked(told)),
        ]
    )
    return "\n\n".join(part for part in (head, table, facts) if part)


def _moment(at: str) -> str:
    return at.replace("T", " ").removesuffix("Z")


def _held(entry: Entry, shown: tuple[Entry, ...]) -> str:
    if entry.lasted_s is None:
        return ""
    going_on = not any(other.lasted_s is not None for other in shown[shown.index(entry) + 1 :])
    held = f"{entry.lasted_s:.1f}s" if entry.lasted_s < _IN_TENTHS_S else output.span(entry.lasted_s)
    return f"≥ {held}" if going_on else held


def _took(entry: Entry) -> str:
    return f"{entry.took_s:.2f}s" if entry.took_s is not None else ""


def _times(times: Times | None, what: str) -> str:
    if times is None:
        return ""
    if times.count == 1:
        return f"{times.last_s:.2f} s (1 {what})"
    return f"{times.last_s:.2f} s the last time; median {times.median_s:.2f} s, longest {times.longest_s:.2f} s of {times.count} {what}s"


def _parked(told: Why) -> str:
    if not told.parked_s:
        return ""
    share = f"{told.parked_share:.1%} of the active time told of here; " if told.parked_share is not None else ""
    return f"{share}{output.span(told.parked_s)} in all, which saved {told.saved_gib_hours:g} GiB hours of memory"

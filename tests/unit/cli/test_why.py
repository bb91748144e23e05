"""What `nomadflows why` prints of a history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from nomadflows.cli.why import why_json, why_text
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, Event, FlowState, Meta, Status, StepStatus, timestamp
from nomadflows.model.why import explain
from nomadflows.store.documents import FlowRecord, Versioned

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return timestamp(NOON + timedelta(seconds=seconds))


STATUS = Status(FlowState.SLEEPING, at(62), 1, steps=(StepStatus("store", "action", "sql@1.0.0", ready_s=1.25),))
RECORD = FlowRecord(
    FlowRef("default", "orders"), Versioned(Meta("orders", latest=1)), Versioned(Desired()), Versioned(STATUS)
)
EVENTS = [
    Event(at(0), "StartRequested", "Starting version 1: anna asked for it", "Starting", by="anna"),
    Event(at(2), "StepsReady", "All 2 steps consume their queues", "Running", 2.0, by="controller"),
    Event(at(61), "WorkDone", "Nothing left to do for 60 s", "Running"),
    Event(at(62), "Parked", "No process is left", "Sleeping", by="controller"),
]
TOLD = explain(EVENTS, STATUS, 512, NOON + timedelta(hours=2, seconds=62))


def test_a_line_for_each_event_and_the_figures_below() -> None:
    lines = [line.rstrip() for line in click.unstyle(why_text(RECORD, TOLD, TOLD.entries)).splitlines()]

    assert lines[0].startswith("default/orders is Sleeping for ")
    assert lines[2].split() == ["AT", "STATE", "HELD", "WHY", "TOOK", "WHO"]
    assert lines[3].split()[:5] == ["2026-01-31", "12:00:00.000", "Starting", "2.0s", "StartRequested:"]
    assert lines[3].endswith("anna")
    assert lines[4].split()[2:4] == ["Running", "60s"]
    assert "2.00s" in lines[4]
    assert lines[5].split()[2] == "WorkDone:"
    assert lines[6].split()[2:5] == ["Sleeping", "≥", "2h"]
    assert lines[8:] == [
        "warm-up       2.00 s (1 start)",
        "slowest step  store, ready after 1.25 s, at the last start or wake",
        "parked        99.1% of the active time told of here; 2h in all, which saved 1 GiB hours of memory",
    ]


def test_the_shape_programs_rely_on() -> None:
    told = why_json(RECORD, TOLD, TOLD.entries[-1:])

    assert told["events"] == [{
        "at": at(62), "state": "Sleeping", "was": "Running", "reason": "Parked", "message": "No process is left",
        "by": "controller", "took_s": None, "lasted_s": 7200.0,
    }]  # fmt: skip
    assert told["warm_ups"] == {"count": 1, "last_s": 2.0, "median_s": 2.0, "longest_s": 2.0}
    assert (told["wakes"], told["slowest_step"], told["ready_s"]) == (
        None,
        {"step": "store", "ready_s": 1.25},
        {"store": 1.25},
    )
    assert (told["parked_s"], told["saved_gib_hours"]) == (7200.0, 1.0)


def test_a_flow_to_which_nothing_happened() -> None:
    new = FlowRecord(RECORD.ref, RECORD.meta, RECORD.desired, Versioned(Status()))
    told = explain([], Status(), 0, NOON)

    assert why_text(new, told, ()) == "default/orders is Stopped\n\nNothing has happened to it yet."
    assert set(why_json(new, told, ())) == set(why_json(RECORD, TOLD, TOLD.entries))

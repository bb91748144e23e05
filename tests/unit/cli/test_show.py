"""What `flow show` and `flow list` print of a flow's documents."""

from __future__ import annotations

import click

from nomadflows.cli import show
from nomadflows.model.names import FlowRef
from nomadflows.model.states import (
    Condition,
    Desired,
    FlowState,
    Kind,
    Meta,
    Status,
    StepState,
    StepStatus,
    WantedState,
)
from nomadflows.store.documents import FlowRecord, Versioned

ORDERS = FlowRecord(
    ref=FlowRef("default", "orders"),
    meta=Versioned(Meta("orders", Kind.ORDINARY, latest=3), 10),
    desired=Versioned(Desired(WantedState.RUNNING, 3, 12, by="eva", at="2026-01-31T09:00:00.000Z"), 11),
    status=Versioned(
        Status(
            FlowState.SLEEPING,
            "2026-01-31T10:00:00.000Z",
            3,
            12,
            conditions=(Condition("Ready", "True", "Parked", "No process is left", "2026-01-31T10:00:00.000Z"),),
            steps=(
                StepStatus("orders", "trigger", "files@1.0.0"),
                StepStatus("mapper:orders:store", "mapper", "mapper@1.0.0"),
            ),
            warm_up_s=0.9,
            last_wake_s=0.31,
            next_tick="2026-01-31T10:03:00.000Z",
            later_ticks=("2026-01-31T10:06:00.000Z", "2026-01-31T10:09:00.000Z"),
        ),
        12,
    ),
    has_draft=True,
)
NEW = FlowRecord(
    FlowRef("default", "new"), Versioned(Meta("new"), 1), Versioned(Desired()), Versioned(Status()), has_draft=True
)


def test_the_shape_programs_rely_on() -> None:
    step = {
        "kind": "trigger",
        "state": "Sleeping",
        "replicas": 0,
        "consumers": 0,
        "ready": 0,
        "unacked": 0,
        "restarts": 0,
        "ready_s": None,
        "memory_mib": 0,
        "memory_peak_mib": None,
    }
    assert show.show_json(ORDERS) == {
        "workspace": "default",
        "flow": "orders",
        "kind": "ordinary",
        "desired": {"state": "running", "version": 3, "generation": 12},
        "status": {
            "state": "Sleeping",
            "since": "2026-01-31T10:00:00.000Z",
            "version": 3,
            "observed_generation": 12,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Parked",
                    "message": "No process is left",
                    "at": "2026-01-31T10:00:00.000Z",
                }
            ],
            "steps": [
                {"id": "orders", "component": "files@1.0.0", **step},
                {"id": "mapper:orders:store", "component": "mapper@1.0.0", **step, "kind": "mapper"},
            ],
        },
        "draft": True,
        "scale": {},
        "repair": True,
        "next_tick": "2026-01-31T10:03:00.000Z",
        "later_ticks": ["2026-01-31T10:06:00.000Z", "2026-01-31T10:09:00.000Z"],
        "warm_up_s": 0.9,
        "last_wake_s": 0.31,
    }


def test_a_flow_that_never_ran_has_the_same_members() -> None:
    shown = show.show_json(NEW)
    assert shown.keys() == show.show_json(ORDERS).keys()
    assert shown["status"] == {
        "state": "Stopped",
        "since": None,
        "version": 0,
        "observed_generation": 0,
        "conditions": [],
        "steps": [],
    }
    assert (shown["next_tick"], shown["warm_up_s"], shown["last_wake_s"]) == (None, None, None)


def test_text_says_why_and_lists_steps() -> None:
    text = show.show_text(ORDERS)
    assert "Ready      True: Parked: No process is left" in text
    assert "wanted     running version 3, by eva at 2026-01-31T09:00:00.000Z\n" in text
    assert "warm-up    0.90 s from start to all steps ready" in text
    assert "mapper:orders:store  mapper   mapper@1.0.0" in text
    assert "none published" in show.show_text(NEW)


def test_a_wish_nobody_took_up_is_marked() -> None:
    desired = Desired(WantedState.STOPPED, 3, 13, by="eva", at="2026-01-31T11:00:00.000Z")
    record = FlowRecord(ORDERS.ref, ORDERS.meta, Versioned(desired, 14), ORDERS.status)
    assert "not taken up by a controller yet" in show.show_text(record)


def test_settings_that_outlive_a_wish_are_told_where_they_differ() -> None:
    desired = Desired(WantedState.RUNNING, 3, 13, scale={"store": 4, "orders": 2}, repair=False)
    record = FlowRecord(ORDERS.ref, ORDERS.meta, Versioned(desired, 14), ORDERS.status)
    text = show.show_text(record)
    assert "scaled     orders 2, store 4\n" in text
    assert "repair     paused" in text
    assert "repair " not in show.show_text(ORDERS)


def test_a_step_that_does_not_run_says_why() -> None:
    status = Status(steps=(StepStatus("a", "trigger", "files@1.0.0", StepState.STARTING, message="Driver Failure"),))
    record = FlowRecord(ORDERS.ref, ORDERS.meta, ORDERS.desired, Versioned(status, 1))
    assert show.show_text(record).splitlines()[-1].endswith("Driver Failure")


def test_list() -> None:
    broken = FlowRecord(
        FlowRef("default", "spoilt"), NEW.meta, NEW.desired, NEW.status, problem="status cannot be read"
    )
    lines = click.unstyle(show.list_text([show.list_json(record) for record in (ORDERS, NEW, broken)])).splitlines()
    assert lines[0].split() == [
        "WORKSPACE",
        "FLOW",
        "KIND",
        "STATE",
        "FOR",
        "VERSION",
        "LATEST",
        "DRAFT",
        "NEXT",
        "TICK",
    ]
    assert lines[1].split()[:4] == ["default", "orders", "ordinary", "Sleeping"]
    assert lines[-1] == "spoilt: status cannot be read"
    assert show.list_text([]).startswith("No flows.")

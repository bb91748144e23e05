"""What `flow plan` says of two versions, and of Nomad's dry run."""

from __future__ import annotations

from typing import Any

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.plan import preview
from nomadflows.plan.preview import Line, Side

STEPS: list[dict[str, Any]] = [
    {"id": "orders", "use": "files:watch", "with": {"path": "/a", "format": "csv"}},
    {"id": "store", "use": "sql:upsert", "credential": "db", "map": {"id": "order_id"}},
]


def _side(number: int, steps: list[dict[str, Any]] = STEPS, **more: Any) -> Side:
    definition = FlowDefinition.from_json({"flow": "orders", "steps": steps, **more})
    steps = expand(definition)
    credentials = tuple(sorted({step.credential for step in steps if step.credential}))
    return Side(VersionRef("default", "orders", number), Kind.ORDINARY, definition, steps, credentials)


def test_a_first_version() -> None:
    new = _side(1)
    assert [line.text for line in preview.step_lines(None, new)] == [
        "orders (trigger, files:watch)",
        "mapper:orders:store (mapper, mapper:map)",
        "store (action, sql:upsert)",
    ]
    assert [line.text for line in preview.queue_lines(None, new, [])] == [
        "orders.v1.orders",
        "orders.v1.mapper:orders:store",
        "orders.v1.store",
    ]
    assert list(preview.policy_lines(None, new, ["db"])) == [
        Line("policy", "+", "nomadflows.default.orders.v1: reads db"),
        Line("policy", "!", "credential db does not exist: `nomadflows credential set db -w default`"),
    ]
    assert list(preview.schedule_lines(None, new)) == [Line("schedule", "+", "*/3 * * * * (UTC)")]


def test_the_same_version_again_changes_nothing() -> None:
    old, new = _side(1), _side(1)
    assert not list(preview.step_lines(old, new))
    assert not list(preview.queue_lines(old, new, []))
    assert not list(preview.user_lines(old, new, []))
    assert not list(preview.policy_lines(old, new, []))
    assert not list(preview.schedule_lines(old, new))


def test_drift_of_an_active_version() -> None:
    assert list(preview.queue_lines(_side(1), _side(1), ["orders.v1.store is missing"])) == [
        Line("queues", "~", "orders.v1.store is missing")
    ]
    assert list(preview.user_lines(_side(1), _side(1), ["broker user default.orders.v1 missing"])) == [
        Line("user", "~", "broker user default.orders.v1 missing")
    ]
    assert list(preview.policy_lines(_side(1), _side(1), [], differs=True)) == [
        Line("policy", "~", "nomadflows.default.orders.v1: put right, reads db")
    ]


def test_another_version() -> None:
    steps = [{**STEPS[0], "with": {"path": "/b", "format": "csv"}}, {"id": "report", "use": "log:write", "replicas": 2}]
    old, new = _side(1), _side(2, steps, schedule="0 * * * *", timezone="Europe/Berlin")
    assert set(preview.step_lines(old, new)) == {
        Line("steps", "~", "orders: settings path"),
        Line("steps", "+", "report (action, log:write)"),
        Line("steps", "-", "store"),
        Line("steps", "-", "mapper:orders:store"),
    }
    assert Line("queues", "-", "orders.v1.store, what is left in it moves on") in list(
        preview.queue_lines(old, new, [])
    )
    assert list(preview.user_lines(old, new, [])) == [
        Line("user", "+", "default.orders.v2: writes orders.v2, reads its queues"),
        Line("user", "-", "default.orders.v1"),
    ]
    assert list(preview.policy_lines(old, new, [])) == [
        Line("policy", "+", "nomadflows.default.orders.v2: reads no credential"),
        Line("policy", "-", "nomadflows.default.orders.v1"),
    ]
    assert list(preview.schedule_lines(old, new)) == [
        Line("schedule", "~", "*/3 * * * * (UTC) → 0 * * * * (Europe/Berlin)")
    ]


def test_settings_of_the_flow() -> None:
    assert list(preview.setting_lines(_side(1), _side(2, idle_after="5s", description="new"))) == [
        Line("settings", "~", "description default → new"),
        Line("settings", "~", "idle_after default → 5s"),
    ]
    assert not list(preview.setting_lines(None, _side(1, idle_after="5s")))


def test_what_changed_of_a_step() -> None:
    steps = [STEPS[0], {**STEPS[1], "use": "sql@1.2.0:upsert", "replicas": 3, "credential": "other"}]
    (line,) = preview.step_lines(_side(1), _side(2, steps))
    assert line.text == "store: component version none → 1.2.0, credential db → other, replicas 1 → 3"


def test_nomad_would_add_a_job() -> None:
    assert list(preview.job_lines({"Diff": {"Type": "Added"}}, "orders.v1", {"a": 1, "b": 2})) == [
        Line("job", "+", "orders.v1: 2 groups, 3 processes")
    ]


def test_nomad_sees_nothing_to_change() -> None:
    assert not list(preview.job_lines({"Diff": {"Type": "None"}, "FailedTGAllocs": None}, "orders.v1", {"a": 1}))


def test_nomad_sees_a_change_by_hand() -> None:
    diff = {
        "Type": "Edited",
        "Fields": [{"Name": "Priority", "Type": "Edited", "Old": "90", "New": "50"}],
        "TaskGroups": [
            {"Name": "a", "Type": "None"},
            {"Name": "b", "Type": "Edited", "Fields": [{"Name": "Count", "Type": "Edited", "Old": "0", "New": "1"}]},
            {"Name": "c", "Type": "Deleted"},
        ],
    }
    assert [line.text for line in preview.job_lines({"Diff": diff}, "orders.v1", {})] == [
        "orders.v1: Priority 90 → 50",
        "orders.v1: b.Count 0 → 1",
        "orders.v1: c deleted",
    ]


def test_a_group_that_fits_nowhere() -> None:
    answer = {
        "Diff": {"Type": "Added"},
        "FailedTGAllocs": {"a": {"NodesEvaluated": 1, "DimensionExhausted": {"memory": 1}}},
    }
    assert list(preview.job_lines(answer, "orders.v1", {"a": 1}))[-1] == (
        Line("job", "!", "a cannot be placed now: no memory left (1 nodes)")
    )

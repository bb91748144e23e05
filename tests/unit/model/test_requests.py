"""What people may ask of a flow in which state, without a server."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nomadflows.model import requests as rules
from nomadflows.model.errors import Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.requests import NothingToPublish
from nomadflows.model.states import Desired, FlowState, Kind, Meta, Status, WantedState

REF = FlowRef("default", "orders")
PUBLISHED = Meta("orders", latest=3)
NEW = Meta("orders")
STOPPED = Desired(WantedState.STOPPED, 3, 4)
RUNNING = Desired(WantedState.RUNNING, 3, 5, by="anna@desk")
SUSPENDED = Desired(WantedState.SUSPENDED, 3, 6, by="controller")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def status(state: FlowState) -> Status:
    return Status(state)


def steps(*steps: dict) -> dict:
    return {"flow": "orders", "kind": "ordinary", "steps": list(steps)}


# start


def test_a_flow_that_was_never_published_cannot_be_started():
    refusal = rules.may_start(REF, NEW, Desired(), Status())

    assert "no published version" in str(refusal)
    assert "nomadflows flow publish orders" in str(refusal)


@pytest.mark.parametrize("state", [FlowState.STARTING, FlowState.RUNNING, FlowState.SLEEPING])
def test_an_active_flow_cannot_be_started_again(state):
    refusal = rules.may_start(REF, PUBLISHED, RUNNING, status(state))

    assert f"is already running: version 3, {state}" in str(refusal)


def test_a_suspended_flow_is_resumed_not_started():
    assert "flow resume orders" in str(rules.may_start(REF, PUBLISHED, SUSPENDED, status(FlowState.SUSPENDED)))


@pytest.mark.parametrize("state", [FlowState.STOPPED, FlowState.STOPPING])
def test_a_stopped_flow_can_be_started_even_while_its_stop_is_under_way(state):
    assert rules.may_start(REF, PUBLISHED, STOPPED, status(state)) is None


# stop


def test_stop_of_a_stopped_flow_changes_nothing():
    assert not rules.stop_changes(STOPPED, status(FlowState.STOPPED), drain=False)
    assert not rules.stop_changes(STOPPED, status(FlowState.STOPPING), drain=False)


@pytest.mark.parametrize("desired", [RUNNING, SUSPENDED])
@pytest.mark.parametrize("state", FlowState)
def test_whatever_is_not_wanted_stopped_can_be_stopped(desired, state):
    assert rules.stop_changes(desired, status(state), drain=False)


def test_a_draining_stop_can_be_told_not_to_wait():
    draining = Desired(WantedState.STOPPED, 3, 4, drain=True)

    assert rules.stop_changes(draining, status(FlowState.STOPPING), drain=False)
    assert not rules.stop_changes(draining, status(FlowState.STOPPING), drain=True)
    assert not rules.stop_changes(draining, status(FlowState.STOPPED), drain=False)


# suspend and resume


def test_only_a_running_flow_can_be_suspended():
    assert rules.may_suspend(REF, RUNNING) is None
    assert "a stopped flow cannot be suspended" in str(rules.may_suspend(REF, STOPPED))
    assert "already suspended by controller" in str(rules.may_suspend(REF, SUSPENDED))


def test_only_a_suspended_flow_can_be_resumed():
    assert rules.may_resume(REF, SUSPENDED) is None
    assert "flow start orders" in str(rules.may_resume(REF, STOPPED))
    assert "is not suspended" in str(rules.may_resume(REF, RUNNING))


# kind


def test_real_time_may_be_enabled_while_stopped_and_published():
    assert rules.may_set_kind(REF, PUBLISHED, STOPPED, status(FlowState.STOPPED), Kind.REALTIME) is None


@pytest.mark.parametrize(
    ("meta", "desired", "state", "why", "how"),
    [
        (PUBLISHED, RUNNING, FlowState.RUNNING, "is active (Running)", "flow stop orders --wait"),
        (PUBLISHED, RUNNING, FlowState.STOPPED, "is active (Stopped)", "flow stop orders --wait"),
        (PUBLISHED, SUSPENDED, FlowState.SUSPENDED, "is suspended", "flow stop orders --wait"),
        (PUBLISHED, STOPPED, FlowState.STOPPING, "is still Stopping", "wait until"),
        (NEW, Desired(), FlowState.STOPPED, "no published version", "flow publish orders"),
    ],
)
def test_enabling_real_time_is_refused_with_what_is_in_the_way(meta, desired, state, why, how):
    refusal = rules.may_set_kind(REF, meta, desired, status(state), Kind.REALTIME)

    assert why in str(refusal)
    assert "real-time can be enabled only" in str(refusal)
    assert how in str(refusal)


def test_disabling_names_disabling():
    assert "real-time can be disabled only" in str(rules.may_set_kind(REF, PUBLISHED, RUNNING, Status(), Kind.ORDINARY))


def test_a_definition_of_another_kind_is_refused_once_the_flow_was_published():
    assert rules.may_apply(REF, NEW, Kind.REALTIME) is None
    assert rules.may_apply(REF, PUBLISHED, Kind.ORDINARY) is None
    assert "flow enable-realtime orders" in str(rules.may_apply(REF, PUBLISHED, Kind.REALTIME))
    realtime = Meta("orders", Kind.REALTIME, latest=1)
    assert "flow disable-realtime orders" in str(rules.may_apply(REF, realtime, Kind.ORDINARY))


# publish


def test_publish_needs_a_draft():
    assert "has no draft" in str(rules.may_publish(REF, STOPPED, None, steps(), None, forced=False))


def test_a_draft_like_the_newest_version_makes_none_unless_forced():
    draft = steps({"id": "a", "use": "timer:tick"})

    assert isinstance(rules.may_publish(REF, STOPPED, draft, dict(draft), None, forced=False), NothingToPublish)
    assert rules.may_publish(REF, STOPPED, draft, dict(draft), None, forced=True) is None


def test_the_kind_makes_no_difference_between_versions():
    assert rules.digest({"flow": "a", "kind": "realtime"}) == rules.digest({"kind": "ordinary", "flow": "a"})
    assert rules.digest({"flow": "a"}) != rules.digest({"flow": "b"})


@pytest.mark.parametrize(
    ("mended", "allowed"),
    [
        ({"id": "b", "use": "sql@1.1.0:upsert", "map": {"x": "z"}, "credential": "db"}, True),
        ({"id": "b", "use": "sql:upsert", "map": "$", "with": {"table": "t"}, "replicas": 2}, True),
        ({"id": "b", "use": "sql:upsert", "map": {"x": "y"}, "after": "a"}, True),
        ({"id": "b", "use": "log:write", "map": {"x": "y"}}, False),
        ({"id": "c", "use": "sql:upsert", "map": {"x": "y"}}, False),
        ({"id": "b", "use": "sql:upsert", "map": {"x": "y"}, "error_handler": True}, False),
    ],
)
def test_while_suspended_all_but_the_graph_may_change(mended, allowed):
    trigger = {"id": "a", "use": "timer:tick"}
    before = steps(trigger, {"id": "b", "use": "sql@1.0.0:upsert", "map": {"x": "y"}})

    refusal = rules.may_publish(REF, SUSPENDED, steps(trigger, mended), before, before, forced=False)

    assert (refusal is None) is allowed
    if refusal:
        assert "its steps and what feeds them may not" in str(refusal)


def test_while_suspended_a_mapping_is_not_removed_since_messages_may_wait_for_it():
    plain = steps({"id": "a", "use": "timer:tick"}, {"id": "b", "use": "log:write"})
    mapped = steps({"id": "a", "use": "timer:tick"}, {"id": "b", "use": "log:write", "map": {"x": "y"}})

    assert rules.may_publish(REF, SUSPENDED, mapped, plain, plain, forced=False) is None
    refusal = rules.may_publish(REF, SUSPENDED, plain, mapped, mapped, forced=False)
    assert "may not be removed (mapper:a:b)" in str(refusal)


def test_a_graph_may_change_while_stopped_or_running():
    one, other = steps({"id": "a", "use": "timer:tick"}), steps({"id": "b", "use": "timer:tick"})

    for desired in (STOPPED, RUNNING):
        assert rules.may_publish(REF, desired, one, other, None, forced=False) is None


# revert


def test_a_version_that_was_never_published_cannot_be_gone_back_to():
    assert rules.may_revert(REF, PUBLISHED, 2, steps()) is None
    assert "no version 7: versions 1 to 3 are published" in str(rules.may_revert(REF, PUBLISHED, 7, None))
    assert "none is published yet" in str(rules.may_revert(REF, NEW, 1, None))


# scale and repair


THREE = steps(
    {"id": "a", "use": "timer:tick"}, {"id": "b", "use": "sql:upsert", "replicas": 2}, {"id": "c", "use": "log:write"}
)


@pytest.mark.parametrize(
    ("definition", "step", "count", "said"),
    [
        (THREE, "b", 20, None),
        (THREE, "b", 1, None),
        (THREE, "b", None, None),
        (THREE, "b", 21, "allowed: 1 to 20"),
        (THREE, "b", 0, "allowed: 1 to 20"),
        (THREE, "x", 2, "no step 'x'; it has a, b, c"),
        (None, "b", 2, "no published version"),
    ],
)
def test_what_may_be_scaled(definition, step, count, said):
    refusal = rules.may_scale(REF, definition, step, count)

    assert (refusal is None) is (said is None)
    assert said is None or said in str(refusal)


def test_scaling_to_what_is_published_ends_the_scale():
    desired = Desired(WantedState.RUNNING, 1, 1, scale={"b": 4, "c": 3})

    assert rules.scaled(desired, THREE, "b", 5) == {"b": 5, "c": 3}
    assert rules.scaled(desired, THREE, "b", 2) == {"c": 3}


def test_a_number_pins_a_step_with_autoscale_and_auto_ends_that():
    rule = {"id": "b", "use": "sql:upsert", "autoscale": {"min": 1, "max": 5}}
    definition = steps({"id": "a", "use": "timer:tick"}, rule)
    desired = Desired(WantedState.RUNNING, 1, 1, scale={"b": 4})

    assert rules.scaled(desired, definition, "b", 1) == {"b": 1}
    assert rules.scaled(desired, definition, "b", None) == {}
    assert rules.carried_scale({"b": 1}, definition, definition) == {"b": 1}
    assert rules.carried_scale({"b": 1}, definition, THREE) == {}


def test_a_publish_that_changes_replicas_ends_the_scale_of_that_step_alone():
    b = {"id": "b", "use": "sql:upsert"}
    scale = {"b": 4, "c": 3}

    assert rules.carried_scale(scale, THREE, THREE | {"description": "new"}) == scale
    assert rules.carried_scale(scale, THREE, steps(*THREE["steps"][:1], b | {"replicas": 3}, THREE["steps"][2])) == {
        "c": 3
    }
    assert rules.carried_scale(scale, THREE, steps(*THREE["steps"][:2])) == {"b": 4}
    assert rules.carried_scale(scale, None, THREE) == {}


def test_scale_repair_and_the_drain_of_a_stop_under_way_outlive_a_wish():
    old = Desired(WantedState.STOPPED, 1, 1, drain=True, scale={"b": 4}, repair=False)

    new = rules.wish(old, WantedState.RUNNING, version=1, by="b", at="now")

    assert (new.scale, new.repair, new.drain) == ({"b": 4}, False, True)


def test_a_setting_changes_nothing_else_of_a_wish():
    old = Desired(WantedState.RUNNING, 3, 5, "a", "then", "go", strategy="handover", force=True)

    new = rules.adjusted(old, by="b", at="now", why="w", repair=False)

    assert new == replace(old, generation=6, by="b", at="now", why="w", repair=False)


# delete and restore


def test_a_deleted_flow_is_kept_for_48_hours_and_no_longer():
    mark = rules.deleted(PUBLISHED, by="anna", now="2026-01-31T10:00:00.000Z", until=NOON + rules.KEPT)

    assert mark.until == "2026-02-02T12:00:00.000Z"
    assert not rules.is_expired(mark, NOON + rules.KEPT - timedelta(milliseconds=1))
    assert rules.is_expired(mark, NOON + rules.KEPT)
    assert rules.may_restore(REF, mark, NOON) is None
    assert "is being removed for good since 2026-02-02" in str(rules.may_restore(REF, mark, NOON + rules.KEPT))
    assert "was deleted by anna at 2026-01-31T10" in str(rules.name_is_taken(REF, mark))


# run now, delete


def test_only_an_active_flow_gets_an_extra_tick():
    assert rules.may_run_now(REF, RUNNING) is None
    assert "flow start orders" in str(rules.may_run_now(REF, STOPPED))
    assert "flow resume orders" in str(rules.may_run_now(REF, SUSPENDED))


def test_only_a_stopped_flow_is_deleted():
    for desired, state in itertools.product((STOPPED, RUNNING, SUSPENDED), FlowState):
        refusal = rules.may_delete(REF, desired, status(state))
        assert (refusal is None) is (desired is STOPPED and state is FlowState.STOPPED)
        assert refusal is None or "only a stopped flow can be deleted" in str(refusal)


# wishes


def test_a_wish_is_one_generation_newer_and_forgets_what_the_last_one_said_besides():
    old = Desired(WantedState.STOPPED, 2, 7, "a", "then", "because", force=True, strategy="handover")

    new = rules.wish(old, WantedState.RUNNING, version=3, by="b", at="now", why="go")

    assert new == Desired(WantedState.RUNNING, 3, 8, "b", "now", "go")


def test_a_publish_over_an_active_flow_keeps_its_state():
    new = rules.replaced(RUNNING, 4, "handover", by="b", at="now", why="w")

    assert (new.state, new.version, new.generation, new.strategy) == (WantedState.RUNNING, 4, 6, "handover")


def test_every_refusal_is_a_sentence_about_the_flow():
    refusals = [
        rules.may_start(REF, NEW, Desired(), Status()),
        rules.may_suspend(REF, STOPPED),
        rules.may_resume(REF, RUNNING),
        rules.may_run_now(REF, STOPPED),
        rules.may_delete(REF, RUNNING, Status()),
        rules.may_set_kind(REF, NEW, STOPPED, Status(), Kind.REALTIME),
        rules.may_apply(REF, PUBLISHED, Kind.REALTIME),
    ]
    for refusal in refusals:
        assert isinstance(refusal, Refused)
        assert "flow default/orders" in refusal.message

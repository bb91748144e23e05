"""Versions compared, taken out, brought in and gone back to; settings that outlive a wish; what `why` tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import Event, FlowState, Status, StepStatus, timestamp, utc_now
from nomadflows.settings import Settings
from nomadflows.store import Store
from tests.stack.cli.conftest import FLOW, Cli

WriteFlow = Callable[..., str]
SLOWER = FLOW.replace("*/3", "*/5")


@pytest.fixture
def two_versions(cli: Cli, published: str, flow_file: WriteFlow) -> str:
    """Version 1 every three minutes, version 2 every five."""
    cli.ok("flow", "apply", flow_file(SLOWER))
    cli.ok("flow", "publish", published)
    return published


def test_diff_of_versions_and_draft(cli: Cli, two_versions: str, flow_file: WriteFlow) -> None:
    assert "no difference" in cli.ok("flow", "diff", two_versions).out
    cli.ok("flow", "apply", flow_file(SLOWER.replace("{id: order_id}", "{id: order_no}")))

    told = cli.ok("flow", "diff", two_versions, "-o", "json").json
    assert (told["from"], told["to"]) == ("version 2", "draft")
    assert told["changes"] == [{"sign": "~", "path": "steps.store.map.id", "old": "order_id", "new": "order_no"}]
    text = cli.ok("flow", "diff", two_versions, "1", "2").out
    assert "version 1 → version 2" in text
    assert "~ schedule  */3 * * * * → */5 * * * *" in text
    assert len(cli.ok("flow", "diff", two_versions, "1", "-o", "json").json["changes"]) == 2
    assert "no version 7: its versions are 1 to 2" in cli("flow", "diff", two_versions, "7").err
    assert cli("flow", "diff", two_versions, "newest").code == 2


def test_an_exported_version_is_applied_as_the_same(cli: Cli, two_versions: str, tmp_path: Path) -> None:
    exported = tmp_path / "exported.yaml"
    exported.write_text(cli.ok("flow", "export", two_versions).out)

    assert cli.ok("flow", "apply", str(exported), "-o", "json").json["changed"] is False
    assert "schedule: '*/3 * * * *'" in cli.ok("flow", "export", two_versions, "--version", "1").out
    assert cli.ok("flow", "export", two_versions, "-o", "json").json["schedule"] == "*/5 * * * *"
    assert "has no draft" in cli("flow", "export", two_versions, "--draft").err
    assert cli("flow", "export", two_versions, "--draft", "--version", "1").code == 2


def test_import_makes_a_new_flow_and_touches_no_other(cli: Cli, two_versions: str, tmp_path: Path) -> None:
    exported = tmp_path / "exported.yaml"
    exported.write_text(cli.ok("flow", "export", two_versions).out)

    assert "there is a flow" in cli("flow", "import", str(exported)).err
    cli.ok("flow", "import", str(exported), "--name", "copy")
    copied = cli.ok("flow", "export", "copy", "--draft", "-o", "json").json
    assert copied == cli.ok("flow", "export", two_versions, "-o", "json").json | {"flow": "copy"}
    assert cli("flow", "import", str(exported), "--name", "No Name").code == 2


def test_a_graph_of_elastic_io_without_a_name_is_refused_with_the_way_out(cli: Cli, tmp_path: Path) -> None:
    graph = tmp_path / "graph.json"
    graph.write_text('{"nodes": [{"id": "step_1"}], "edges": []}')
    done = cli("flow", "import", str(graph))
    assert done.code == 2
    assert "--name FLOW gives one" in done.err


def test_revert_publishes_what_an_old_version_said(cli: Cli, two_versions: str, flow_file: WriteFlow) -> None:
    cli.ok("flow", "apply", flow_file(FLOW.replace("*/3", "*/9")))
    shown = cli.ok("flow", "revert", two_versions, "1", "-o", "json").json

    assert (shown["published"], shown["draft"]) == (3, True)
    assert "no difference" in cli.ok("flow", "diff", two_versions, "1", "3").out
    assert cli.ok("flow", "versions", two_versions, "-o", "json").json[0]["note"] == "as version 1"
    assert "same as its newest version" in cli("flow", "revert", two_versions, "3").err
    assert "no version 9" in cli("flow", "revert", two_versions, "9").err


def test_publish_with_a_strategy_and_a_time_to_come_up(
    cli: Cli, published: str, flow_file: WriteFlow, store: Store, settings: Settings
) -> None:
    cli.ok("flow", "start", published)
    cli.ok("flow", "apply", flow_file(SLOWER))
    assert cli("flow", "publish", published, "--ready-timeout", "0").code == 2
    cli.ok("flow", "publish", published, "--strategy", "handover", "--ready-timeout", "20")

    record = store.flow(FlowRef(settings.workspace, published))
    assert record is not None
    desired = record.desired.value
    assert (desired.version, desired.strategy, desired.ready_timeout) == (2, "handover", 20.0)


def test_scale_and_repair_outlive_stop_and_start(cli: Cli, published: str) -> None:
    cli.ok("flow", "start", published)
    assert "remembers what it has read" in cli("flow", "scale", published, "orders", "2").err
    assert "has no step 'stroe'; it has orders, store" in cli("flow", "scale", published, "stroe", "2").err
    assert cli("flow", "scale", published, "store", "21").code == 2
    cli.ok("flow", "scale", published, "store", "4")
    cli.ok("flow", "pause-repair", published, "--why", "a look by hand")
    cli.ok("flow", "stop", published, "--yes")
    cli.ok("flow", "start", published)

    shown = cli.ok("flow", "show", published, "-o", "json").json
    assert (shown["scale"], shown["repair"]) == ({"store": 4}, False)
    cli.ok("flow", "scale", published, "store", "1")
    cli.ok("flow", "resume-repair", published)
    shown = cli.ok("flow", "show", published, "-o", "json").json
    assert (shown["scale"], shown["repair"]) == ({}, True)


def test_a_suspended_flow_may_be_mended_but_not_rebuilt(cli: Cli, published: str, flow_file: WriteFlow) -> None:
    cli.ok("flow", "start", published)
    cli.ok("flow", "suspend", published, "--why", "repair")
    for wrong, said in [
        (FLOW.replace("id: store", "id: keep"), "its steps and what feeds them may not"),
        (FLOW.replace("    map: {id: order_id}\n", ""), "a mapping may not be removed (mapper:orders:store)"),
    ]:
        cli.ok("flow", "apply", flow_file(wrong))
        assert said in cli("flow", "publish", published).err
    mended = (
        FLOW.replace("order_id", "order_no").replace("warehouse", "other").replace("target:put", "target@1.0.0:put")
    )
    cli.ok("flow", "apply", flow_file(mended))
    cli.ok("flow", "publish", published)
    assert cli.ok("flow", "resume", published, "-o", "json").json["desired"]["version"] == 2


def test_why_tells_the_history(cli: Cli, published: str, store: Store, settings: Settings) -> None:
    assert "Nothing has happened to it yet" in cli.ok("why", published).out
    ref = FlowRef(settings.workspace, published)
    record, now = store.flow(ref), timestamp(utc_now())
    assert record is not None
    steps = (
        StepStatus("orders", "trigger", "source@1.0.0", ready_s=0.5),
        StepStatus("store", "action", "target@1.0.0", ready_s=0.75),
    )
    status = Status(FlowState.SLEEPING, now, 1, steps=steps, parked_s=7200.0)
    events = [
        Event(now, "StartRequested", "Starting version 1", "Starting", by="anna"),
        Event(now, "StepsReady", "All 3 steps consume their queues", "Running", 0.8, "controller"),
        Event(now, "Parked", "No process is left", "Sleeping", by="controller"),
    ]
    store.write_status(ref, status, events, expected_index=record.status.index, fence=None)

    told = cli.ok("why", published, "-o", "json").json
    assert [event["reason"] for event in told["events"]] == ["StartRequested", "StepsReady", "Parked"]
    assert told["slowest_step"] == {"step": "store", "ready_s": 0.75}
    assert told["saved_gib_hours"] == pytest.approx(2 * 3 * 256 / 1024, abs=0.01)
    text = cli.ok("why", published, "--last", "1").out
    assert "Parked: No process is left" in text
    assert "StartRequested" not in text
    assert "slowest step  store, ready after 0.75 s" in text

"""What commands ask of a flow: written to Consul, read back, refused with the reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Status, timestamp, utc_now
from nomadflows.settings import Settings
from nomadflows.store import Store
from tests.stack.cli.conftest import FLOW, Cli

WriteFlow = Callable[..., str]


def test_from_file_to_a_wish_to_run(cli: Cli, flow_file: WriteFlow, settings: Settings, store: Store) -> None:
    applied = cli.ok("flow", "apply", flow_file(), "-o", "json").json
    assert applied == {
        "workspace": settings.workspace,
        "flow": "orders",
        "created": True,
        "changed": True,
        "draft": True,
    }
    assert cli.ok("flow", "show", "orders", "-o", "json").json["draft"] is True
    cli.ok("flow", "publish", "orders", "--note", "first")
    cli.ok("flow", "start", "orders", "--why", "test")

    shown = cli.ok("flow", "show", "orders", "-o", "json").json
    assert (shown["workspace"], shown["flow"], shown["kind"]) == (settings.workspace, "orders", "ordinary")
    assert (shown["desired"]["state"], shown["desired"]["version"], shown["draft"]) == ("running", 1, False)
    record = store.flow(FlowRef(settings.workspace, "orders"))
    assert record is not None
    assert record.desired.value.why == "test"
    entries, _ = store.inbox()
    assert {str(entry.flow) for entry in entries} == {f"{settings.workspace}/orders"}


def test_list_and_versions(cli: Cli, published: str, flow_file: WriteFlow) -> None:
    cli.ok("flow", "apply", flow_file(FLOW.replace("*/3", "*/5")))
    cli.ok("flow", "publish", published, "--note", "slower")
    versions = cli.ok("flow", "versions", published, "-o", "json").json
    assert [(v["number"], v["note"], v["active"]) for v in versions] == [(2, "slower", False), (1, "", False)]
    assert "schedule: '*/3 * * * *'" in cli.ok("flow", "versions", published, "--show", "1").out
    assert cli("flow", "versions", published, "--show", "7").code == 1
    (row,) = cli.ok("flow", "list", "-o", "json").json
    assert (row["flow"], row["state"], row["latest"]) == ("orders", "Stopped", 2)
    assert cli.ok("flow", "list", "--state", "Running", "-o", "json").json == []
    assert "orders" in cli.ok("flow", "list", "--all").out


def test_workspace_slash_flow(cli: Cli, published: str, settings: Settings) -> None:
    assert (
        cli.ok("flow", "show", f"{settings.workspace}/{published}", "-w", "other", "-o", "json").json["flow"]
        == "orders"
    )


def test_unchanged_file(cli: Cli, published: str, flow_file: WriteFlow) -> None:
    assert cli.ok("flow", "apply", flow_file(), "-o", "json").json["changed"] is False
    done = cli("flow", "publish", published)
    assert done.code == 1
    assert "no draft to publish" in done.err


@pytest.mark.parametrize(
    ("good", "bad", "line"),
    [
        ("schedule:", "shcedule:", "2: shcedule: unknown field"),
        ("use: source:poll", "use: sauce:poll", "5: steps[0].use: there is no component 'sauce'"),
        ("use: target:put", "use: source:poll", "7: steps[1].use: source:poll is a second trigger"),
        ("map: {id: order_id}", 'map: {id: "order_id ("}', "9: steps[1].map.id:"),
        ("*/3 * * * *", "0 0 30 2 *", "2: schedule: '0 0 30 2 *' never occurs"),
        ("credential: warehouse", "after: store", "cycle"),
    ],
)
def test_wrong_files_are_told_by_line_and_nothing_is_stored(
    good: str, bad: str, line: str, cli: Cli, flow_file: WriteFlow, store: Store, settings: Settings
) -> None:
    path = flow_file(FLOW.replace(good, bad))
    for command in ("validate", "apply"):
        done = cli("flow", command, path)
        assert done.code == 2
        assert done.out == ""
        assert done.err.startswith(f"{path}:")
        assert line in done.err
    assert store.flow(FlowRef(settings.workspace, "orders")) is None


def test_files_that_cannot_be_read(cli: Cli, tmp_path: Path) -> None:
    assert cli("flow", "apply", str(tmp_path / "none.yaml")).code == 2
    (tmp_path / "latin.yaml").write_bytes(b"flow: \xff")
    assert "not UTF-8" in cli("flow", "apply", str(tmp_path / "latin.yaml")).err


def test_realtime_only_while_stopped(cli: Cli, published: str, store: Store, settings: Settings) -> None:
    cli.ok("flow", "enable-realtime", published)
    assert cli.ok("flow", "show", published, "-o", "json").json["kind"] == "realtime"
    cli.ok("flow", "disable-realtime", published)
    cli.ok("flow", "start", published)
    _pretend(store, settings, FlowState.RUNNING)
    done = cli("flow", "enable-realtime", published)
    assert done.code == 1
    assert "real-time can be enabled only while it is stopped" in done.err


def test_stop_asks_and_a_pipe_cannot_answer(cli: Cli, published: str, store: Store, settings: Settings) -> None:
    cli.ok("flow", "start", published)
    _pretend(store, settings, FlowState.RUNNING)
    done = cli("flow", "stop", published)
    assert done.code == 1
    assert "give --yes, or --drain" in done.err
    assert cli.ok("flow", "show", published, "-o", "json").json["desired"]["state"] == "running"
    cli.ok("flow", "stop", published, "--drain")
    record = store.flow(FlowRef(settings.workspace, published))
    assert record is not None
    assert record.desired.value.drain
    cli.ok("flow", "stop", published, "--yes")
    assert cli.ok("flow", "show", published, "-o", "json").json["desired"]["state"] == "stopped"


def test_suspend_and_resume(cli: Cli, published: str) -> None:
    assert "a stopped flow cannot be suspended" in cli("flow", "suspend", published).err
    cli.ok("flow", "start", published)
    cli.ok("flow", "suspend", published, "--why", "repair")
    assert "is suspended" in cli("flow", "run-now", published).err
    cli.ok("flow", "resume", published)
    cli.ok("flow", "run-now", published)


def test_delete_and_restore(cli: Cli, published: str) -> None:
    assert "nobody is there to confirm" in cli("flow", "delete", published).err
    cli.ok("flow", "delete", published, "--yes")
    gone = cli("flow", "show", published)
    assert gone.code == 1
    assert f"`nomadflows flow restore {published}` brings it back" in gone.err
    assert cli("flow", "delete", published, "--yes").code == 1
    assert [row["flow"] for row in cli.ok("flow", "list", "--deleted", "-o", "json").json] == [published]
    cli.ok("flow", "restore", published)
    assert cli.ok("flow", "versions", published, "-o", "json").json[0]["number"] == 1
    assert cli.ok("flow", "list", "--deleted", "-o", "json").json == []


def test_delete_for_good(cli: Cli, published: str) -> None:
    cli.ok("flow", "delete", published, "--for-good", "--yes")
    assert "removed for good" in cli("flow", "restore", published).err


def test_wait_without_a_controller_runs_out(cli: Cli, published: str) -> None:
    done = cli("flow", "start", published, "--wait", "--wait-timeout", "0.5")
    assert done.code == 4
    assert "the work goes on" in done.err


def test_wait_is_told_when_the_wish_came_true(cli: Cli, published: str, store: Store, settings: Settings) -> None:
    later = threading.Timer(0.7, lambda: _pretend(store, settings, FlowState.RUNNING))
    later.start()
    done = cli.ok("flow", "start", published, "--wait", "--wait-timeout", "10")
    later.join()
    assert done.out.endswith(" is Running, version 1; warm-up 0.50 s\n")
    assert "Running" in done.err


def test_two_at_once_one_wins(cli: Cli, published: str, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Both read the same state before either writes; the second is told."""
    commit = Store.transact

    def late(self: Store, *arguments: Any, **more: Any) -> dict[str, int]:
        monkeypatch.undo()
        cli.ok("flow", "start", published, "--why", "first")
        return commit(self, *arguments, **more)

    monkeypatch.setattr(Store, "transact", late)
    second = cli("flow", "start", published, "--why", "second")
    assert second.code == 1
    assert "was changed at the same time" in second.err
    record = store.flow(FlowRef(cli.settings.workspace, published))
    assert record is not None
    assert record.desired.value.why == "first"


def test_logs_and_queues_of_a_flow_that_does_not_run(cli: Cli, published: str) -> None:
    assert "it has no queues" in cli.ok("flow", "queues", published).out
    assert "Nomad knows no process" in cli.ok("flow", "logs", published).err


def test_workspaces(cli: Cli, published: str, settings: Settings) -> None:
    cli.ok("workspace", "create", "trial", "--type", "limited")
    assert cli("workspace", "create", "trial").code == 1
    assert cli.ok("workspace", "list", "-o", "json").json == [
        {"workspace": settings.workspace, "type": "full", "flows": 1},
        {"workspace": "trial", "type": "limited", "flows": 0},
    ]
    assert cli.ok("workspace", "show", settings.workspace, "-o", "json").json["flows"] == ["orders"]
    assert cli("workspace", "show", "none").code == 1


def test_queue_limits_hold_from_the_next_version_on(cli: Cli, published: str, settings: Settings, store: Store) -> None:
    name, ref = settings.workspace, FlowRef(settings.workspace, published)
    cli.ok("workspace", "set", "--installation", "--queue-messages", "500", "--queue-bytes", "5MiB")
    said = cli.ok("workspace", "set", name, "--type", "limited", "--queue-messages", "50")
    assert "is limited; queues of versions published from now on hold 50 messages (workspace), 5MiB (inst" in said.out

    cli.ok("flow", "revert", published, "1", "--force")
    assert [version["limits"] for version in store.versions(ref)] == [
        {"messages": 75_000, "bytes": 209_715_200},
        {"messages": 50, "bytes": 5_242_880},
    ]

    cli.ok("workspace", "set", name, "--queue-messages", "inherit")
    shown = cli.ok("workspace", "show", name, "-o", "json").json
    assert (shown["type"], shown["limits"]) == ("limited", {})
    assert shown["queues"]["messages"] == {"limit": 500, "from": "installation"}
    assert "500 messages (installation), 5MiB" in cli.ok("workspace", "show", name).out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["default", "--queue-messages", "many"], 2),
        (["default", "--queue-bytes", "1KiB"], 2),
        (["default"], 2),
        (["--queue-messages", "5"], 2),
        (["default", "--installation", "--queue-messages", "5"], 2),
        (["--installation", "--type", "full"], 2),
        (["none", "--type", "full"], 1),
    ],
)
def test_what_is_no_limit_is_not_set(cli: Cli, store: Store, arguments: list[str], code: int) -> None:
    assert cli("workspace", "set", *arguments).code == code
    assert store.workspaces() == {}
    assert store.installation_limits() is None


def test_components(cli: Cli) -> None:
    assert {"source", "target"} <= {row["component"] for row in cli.ok("component", "list", "-o", "json").json}
    assert "source:poll" in cli.ok("component", "show", "source@1.0.0").out
    assert cli("component", "show", "source@9.0.0").code == 1


def _pretend(store: Store, settings: Settings, state: FlowState) -> None:
    """What a controller would have written."""
    ref = FlowRef(settings.workspace, "orders")
    record = store.flow(ref)
    assert record is not None
    generation = record.desired.value.generation
    status = Status(state, timestamp(utc_now()), version=1, observed_generation=generation, warm_up_s=0.5)
    store.write_status(ref, status, expected_index=record.status.index, fence=None)

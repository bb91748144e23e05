"""Flows that the controller suspends by itself, and drift it repairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests as http

from nomadflows.model.names import input_key
from nomadflows.settings import Settings
from nomadflows.store import requests
from tests.features.test_life import relay
from tests.world import World, eventually

pytestmark = pytest.mark.stack


def test_a_step_that_fails_to_start_five_times_suspends_its_flow_and_keeps_its_messages(
    world: World, tmp_path: Path
) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    # Given a flow with a step that ends at once whenever it starts
    flow = world.publish_flow("failing", relay(out, exit_at_start="3"))
    requests.start(world.store, flow, by="test")
    # Then the controller suspends it and says why
    status = world.flow_becomes(flow, "Suspended", 60)
    assert status.suspended_for == "StartFailures"
    record = world.store.flow(flow)
    assert record is not None
    assert record.desired.value.by == "controller"
    assert "note" in record.desired.value.why
    # And what is sent meanwhile is kept, and processed once the step is mended and the flow resumed
    world.send(flow, range(5))
    world.publish_flow("failing", relay(out))
    requests.resume(world.store, flow, by="test")
    assert set(world.all_arrive(out, range(5), 60).values()) == {1}


def test_a_queue_over_80_percent_suspends_and_force_resumes(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    definition = {**relay(out, work_ms=25_000), "limits": {"messages": 50}}
    flow = world.start_flow("overfull", definition)
    # When a queue passes 80 % of its limit and does not shrink to speak of
    world.send(flow, range(49), step="note")
    status = world.flow_becomes(flow, "Suspended", 60)
    assert status.suspended_for == "QueueLimit"
    # Then a plain resume is refused with the reason, and a forced one goes on
    requests.resume(world.store, flow, by="test")
    eventually("it is refused", lambda: any("Not resumed" in e.message for e in world.events(flow)))
    requests.resume(world.store, flow, by="test", force=True)
    world.flow_becomes(flow, "Running", 60)


@pytest.mark.slow
def test_a_limited_workspace_stops_what_others_suspend_and_stops_all_in_time(stack: Settings, tmp_path: Path) -> None:
    world = World(replace(stack, workspace="trial"), tmp_path)
    world.store.put_workspace("trial", {"type": "limited"}, cas=0)
    world.deploy()
    out = tmp_path / "out"
    try:
        # Given a limited workspace with a flow whose queue fills up, and one that does well
        world.start_controller(NOMADFLOWS_LIMITED_TTL="25")
        full = world.start_flow("overfull", {**relay(out, work_ms=25_000), "limits": {"messages": 50}})
        well = world.start_flow("well", {**relay(out), "idle_after": "60s"})
        # When the first passes its mark
        world.send(full, range(49), step="note")
        # Then it is stopped, and what waited is gone, as its event says
        stopped = world.flow_becomes(full, "Stopped", 40)
        assert {"QueueLimit", "Stopped"} <= {event.reason for event in world.events(full)}
        assert stopped.dropped > 40
        # And the other is stopped when its time is up
        world.flow_becomes(well, "Stopped", 60)
        assert "TimeUp" in {event.reason for event in world.events(well)}
    finally:
        world.close()


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("purged", marks=pytest.mark.slow),
        pytest.param("stopped", marks=pytest.mark.slow),
        "scaled",
        "queue deleted",
    ],
)
def test_what_strangers_change_is_repaired(world: World, tmp_path: Path, what: str) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    definition = {**relay(out), "idle_after": "60s"}
    flow = world.start_flow(f"drift-{what.replace(' ', '-')}", definition)
    job = flow.version(1).job_id
    nomad = world.settings.nomad_addr
    if what == "purged":
        http.delete(f"{nomad}/v1/job/{job}", params={"purge": "true"}, timeout=5).raise_for_status()
    elif what == "stopped":
        http.delete(f"{nomad}/v1/job/{job}", timeout=5).raise_for_status()
    elif what == "scaled":
        body = {"Count": 3, "Target": {"Group": "note"}}
        http.post(f"{nomad}/v1/job/{job}/scale", json=body, timeout=5).raise_for_status()
    else:
        with world.channel() as channel:
            channel.queue_delete(flow.version(1).queue("note"))
    eventually("it says so", lambda: any(e.reason == "DriftRepaired" for e in world.events(flow)), 40)
    eventually("all steps consume", lambda: all(s.consumers == s.replicas == 1 for s in world.status(flow).steps), 60)
    world.send(flow, range(10))
    world.all_arrive(out, range(10), 60)


def test_what_strangers_delete_of_a_sleeping_flow_is_put_back_before_it_wakes(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller(NOMADFLOWS_FULL_ROUND_EVERY="1")
    out = tmp_path / "out"
    flow = world.start_flow("damaged-asleep", {**relay(out), "idle_after": "0s"}, "Sleeping")
    version, settings = flow.version(1), world.settings
    account = urlsplit(settings.amqp_uri)

    def delete_user() -> None:
        user = f"{settings.rabbitmq_api}/api/users/{version.broker_user}"
        http.delete(user, auth=(account.username or "", account.password or ""), timeout=5).raise_for_status()

    def delete_role() -> None:
        role = f"{settings.vault_addr}/v1/auth/{settings.vault_auth_mount}/role/{version.vault_role}"
        http.delete(role, headers={"X-Vault-Token": settings.vault_token}, timeout=5).raise_for_status()

    with world.channel() as channel:
        damages = {
            f"queue {version.queue('note')} missing": lambda: channel.queue_delete(version.queue("note")),
            f"binding of {version.queue('note')} to note.input": lambda: channel.queue_unbind(
                version.queue("note"), version.exchange, input_key("note")
            ),
            f"broker user {version.broker_user} missing": delete_user,
            f"Vault role {version.vault_role} differs": delete_role,
        }
        for said, damage in damages.items():
            damage()
            eventually(f"it says: {said}", lambda said=said: any(said in event.message for event in world.events(flow)))
    assert "MessageArrived" not in {event.reason for event in world.events(flow)}
    world.send(flow, range(10))
    world.all_arrive(out, range(10), 60)

"""Bugs that the platform's own release notes tell of: each must not be ours."""

from __future__ import annotations

from pathlib import Path

import pika
import pytest

from nomadflows.broker.wire import Crypto, encode, new_id, platform_message
from nomadflows.store import requests
from tests.features.test_life import relay
from tests.world import World, eventually


def test_a_deleted_credential_does_not_keep_a_flow_from_being_stopped(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    world.vault.set_credential("default", "gone-soon", {"url": f"sqlite:///{tmp_path}/x.db"})
    definition = {
        "idle_after": "60s",
        "steps": [
            {"id": "receive", "use": "probe:receive"},
            {"id": "keep", "use": "sql:upsert", "credential": "gone-soon", "with": {"table": "t", "key": "n"}},
        ],
    }
    flow = world.start_flow("without-credential", definition)
    world.vault.delete_credential("default", "gone-soon")
    world.kill_step(flow)  # their next start would need it
    world.stop_flow(flow, 60)


def test_a_flow_restarted_by_hand_is_not_stuck_between_states(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    flow = world.start_flow("restarted", {**relay(tmp_path / "out"), "idle_after": "60s"})
    for _ in range(3):
        requests.stop(world.store, flow, by="test")
        requests.start(world.store, flow, by="test")
    eventually(
        "it runs",
        lambda: (
            world.status(flow).state.value == "Running"
            and world.status(flow).observed_generation == world.store.flow(flow).desired.value.generation
        ),  # type: ignore[union-attr]
        60,
    )
    world.send(flow, range(3))
    world.all_arrive(tmp_path / "out", range(3))


def test_no_message_stays_in_a_queue_with_no_container_running(world: World, tmp_path: Path) -> None:
    """Also one that a stranger put straight into the queue, past the exchange that wakes."""
    world.deploy()
    world.start_controller()
    flow = world.start_flow("stranger", relay(tmp_path / "out"))
    world.flow_becomes(flow, "Sleeping")
    version = flow.version(1)
    secret = world.vault.version_secret(version)
    crypto = Crypto(secret.crypto_password, secret.crypto_iv)
    message = platform_message(
        crypto, {"id": new_id(), "body": {"n": 7}}, workspace="default", flow=flow.flow, exec_id=version.job_id
    )
    with world.channel() as channel:
        properties = pika.BasicProperties(delivery_mode=2, headers=message.headers)
        channel.basic_publish("", version.queue("receive"), message.body, properties, mandatory=True)
    assert world.all_arrive(tmp_path / "out", range(7, 8), 60) == {7: 1}


@pytest.mark.slow
def test_a_message_without_message_id_does_not_make_a_step_stick(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    flow = world.start_flow("without-id", relay(tmp_path / "out"))
    version = flow.version(1)
    secret = world.vault.version_secret(version)
    body = encode(Crypto(secret.crypto_password, secret.crypto_iv), {"body": {"n": 1}})
    with world.channel() as channel:
        properties = pika.BasicProperties(delivery_mode=2, headers={"protocolVersion": 2})
        channel.basic_publish(version.exchange, "receive.input", body, properties, mandatory=True)
    world.send(flow, range(2, 4))
    world.all_arrive(tmp_path / "out", range(1, 4))


@pytest.mark.slow
def test_settings_take_effect_with_the_next_start_without_a_reload(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    flow = world.start_flow("settings", {**relay(tmp_path / "out"), "idle_after": "30m"})
    world.publish_flow("settings", {**relay(tmp_path / "out"), "idle_after": "1s"})
    eventually("version 2 has parked", lambda: world.status(flow).version == 2 and not world.step_pids(flow), 90)
    world.flow_becomes(flow, "Sleeping", 30)

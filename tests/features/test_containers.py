"""Steps that are containers: the example flow from its images to rows in a database, parked, woken, killed, published
over; and steps of both kinds in one flow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests as http
import sqlalchemy
import yaml

from nomadflows.builtin import builtin_dir
from nomadflows.model.names import FlowRef
from nomadflows.model.states import StepStatus
from nomadflows.settings import Settings
from nomadflows.store import requests
from nomadflows.vault import Vault
from tests.containers import ROOT, base_image, containers, docker, why_not
from tests.features.test_life import relay
from tests.postgres import private_postgres
from tests.registry import PASSWORD, USER, private_registry
from tests.world import COMPONENTS, World, eventually

pytestmark = pytest.mark.stack


@pytest.fixture(scope="session")
def engine() -> str:
    """The base image, on an engine that works."""
    if problem := why_not():
        fails = os.environ.get("CI") and not os.environ.get("NOMADFLOWS_NO_DOCKER")
        pytest.fail(problem) if fails else pytest.skip(problem)
    return base_image()


@pytest.fixture
def base(engine: str, stack: Settings) -> str:
    """The base image, and a node that runs containers."""
    eventually("the node runs containers", lambda: _docker_is_healthy(stack), 60)
    return engine


@pytest.fixture
def database() -> Iterator[str]:
    with private_postgres() as address:
        yield address


def _docker_is_healthy(stack: Settings) -> bool:
    nodes = http.get(f"{stack.nomad_addr}/v1/nodes", timeout=5).json()
    return any((node["Drivers"].get("docker") or {}).get("Healthy") for node in nodes)


def command(*arguments: str) -> Any:
    """A command as a user would give it; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadflows", *arguments, "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def deploy_orders(folder: Path, version: str, base: str, *files: str) -> str:
    """The component `files` with data beside it, built and deployed as an image; its content's digest."""
    place = folder / "orders-files"
    shutil.copytree(builtin_dir("files"), place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    descriptor = json.loads((place / "component.json").read_text()) | {"version": version}
    (place / "component.json").write_text(json.dumps(descriptor))
    (place / "orders").mkdir(exist_ok=True)
    lines = (ROOT / "examples/data/orders/orders-2026-01.csv").read_text().splitlines(keepends=True)
    for name in files:
        text = "".join(lines).replace("SO-", f"{name}-")
        (place / "orders" / f"{name}.csv").write_text(text)
    for path in place.rglob("*"):  # as a careful developer has them
        path.chmod(0o700 if path.is_dir() else 0o600)
    built = command("component", "build", str(place), "--base", base)
    return str(command("component", "deploy", "--image", built["image"])["digest"])


def example(**changes: Any) -> dict[str, Any]:
    """The shipped flow; only its data comes from the image."""
    definition = yaml.safe_load((ROOT / "examples/orders-to-warehouse.yaml").read_text())
    del definition["flow"], definition["schedule"]
    orders = definition["steps"][0]
    orders["use"] = "orders-files:watch"
    orders["with"]["path"] = "/component/orders"
    return {**definition, "schedule": "0 0 1 1 *", "idle_after": "2s", **changes}


@contextmanager
def connected(database: str) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def rows(database: str) -> int:
    try:
        with connected(database) as connection:
            return int(connection.execute(sqlalchemy.text("select count(*) from orders")).scalar_one())
    except sqlalchemy.exc.ProgrammingError:  # nothing has made the table yet
        return 0


def forget(database: str) -> None:
    with connected(database) as connection:
        connection.execute(sqlalchemy.text("delete from orders"))


def check_locked_up(about: dict[str, Any], allocations: str) -> None:
    """What a container may do, as Docker says it."""
    host = about["HostConfig"]
    assert about["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert [one.lower() for one in host["CapDrop"]] == ["all"]
    assert not host["CapAdd"]
    assert "no-new-privileges=true" in host["SecurityOpt"]
    assert host["Memory"] == 256 * 1024 * 1024
    sources = {mount["Source"] for mount in about["Mounts"] if mount["Type"] == "bind"}
    assert all(source.startswith(allocations) for source in sources), sources
    assert {mount["Destination"] for mount in about["Mounts"]} <= {"/alloc", "/local", "/secrets", "/tmp"}
    secrets = [line for line in about["Config"]["Env"] if "PASSWORD" in line.upper()]
    assert [line.partition("=")[0] for line in secrets] == ["ELASTICIO_MESSAGE_CRYPTO_PASSWORD"]  # as the contract says


def test_the_example_flow_runs_in_containers(
    world: World, base: str, database: str, tmp_path: Path, local_stack: Any
) -> None:
    first = deploy_orders(tmp_path, "1.0.0", base, "A")
    Vault(world.settings.vault_addr, world.settings.vault_token).set_credential(
        "default", "warehouse-db", {"url": database}
    )
    world.start_controller(NOMADFLOWS_BUILTIN_IMAGE=base)
    assert command("component", "versions", "orders-files")[0]["runs_on"].startswith("3.")
    # Given the example flow, started
    flow = world.start_flow("orders-in-containers", example())
    # Then each of its five steps is a container of its own, which may do next to nothing
    running = containers(world.settings, flow)
    assert len(running) == 5
    for about in running:
        check_locked_up(about, str(local_stack.layout.data("nomad")))
    [orders] = containers(world.settings, flow, "orders")
    assert orders["Image"] == first
    # When it gets to work, and one of them is killed in its middle
    [store] = containers(world.settings, flow, "store")
    requests.run_now(world.store, flow, by="test")
    eventually("rows come", lambda: rows(database) > 0, 60, every=0.02)
    docker("kill", store["Id"])
    assert rows(database) < orders_of_a_file(), "all was done before the kill"
    # Then another takes its place, and every order becomes a row
    eventually("it is started again", lambda: step_status(world, flow, "store").restarts > 0, 60)
    eventually("all orders are rows", lambda: rows(database) == orders_of_a_file(), 90)
    # And when nothing is left to do, no container stays behind
    world.flow_becomes(flow, "Sleeping", 60)
    eventually("no container runs", lambda: not containers(world.settings, flow))
    # And a tick wakes it to do its work again, for somebody has lost all of it
    forget(database)
    world.store.delete_snapshot(flow, "orders")
    requests.run_now(world.store, flow, by="test")
    eventually("all orders are rows again", lambda: rows(database) == orders_of_a_file(), 90)
    assert any(event.reason == "Awake" for event in world.events(flow))
    # When a newer image is published over it
    second = deploy_orders(tmp_path, "1.1.0", base, "A", "B")
    assert second != first
    world.publish_flow("orders-in-containers", example(description="with more orders"))
    eventually("version 2 is active", lambda: world.status(flow).version == 2 and not world.status(flow).replacing, 60)
    requests.run_now(world.store, flow, by="test")
    # Then it does the work
    eventually("the new orders are rows", lambda: rows(database) == 2 * orders_of_a_file(), 90)
    assert any(event.reason == "Parked" for event in world.events(flow))
    world.stop_flow(flow)
    eventually("no container is left", lambda: not containers(world.settings, flow))


def orders_of_a_file() -> int:
    lines = (ROOT / "examples/data/orders/orders-2026-01.csv").read_text().splitlines()[1:]
    return len({line.partition(",")[0] for line in lines})


def test_processes_and_containers_mix_in_one_flow(world: World, base: str, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller(NOMADFLOWS_BUILTIN_IMAGE=base)
    out = tmp_path / "out"
    # Given a flow whose own steps are folders, with a mapping between them, which is built in
    flow = world.start_flow("mixed", relay(out))
    [mapper] = containers(world.settings, flow)
    assert "ELASTICIO_STEP_ID=mapper:receive:note" in mapper["Config"]["Env"]
    assert len(world.step_pids(flow, "receive")) == len(world.step_pids(flow, "note")) == 1
    # Then messages pass through both kinds
    world.send(flow, range(20))
    assert set(world.all_arrive(out, range(20)).values()) == {1}


def test_a_step_that_needs_more_memory_than_it_may_use_is_told_and_suspended(
    world: World, base: str, tmp_path: Path
) -> None:
    world.deploy()
    built = command("component", "build", str(COMPONENTS / "probe"), "--name", "eater", "--base", base)
    command("component", "deploy", "--image", built["image"])
    world.start_controller()
    out = tmp_path / "out"

    def eating(memory: int) -> dict[str, Any]:
        eat = {"use": "eater:relay", "with": {"eat_mib": 100}, "resources": {"memory": memory}}
        return {
            "idle_after": "60s",
            "steps": [
                {"id": "receive", "use": "probe:receive"},
                {"id": "eat", **eat},
                {"id": "note", "use": "probe:relay", "with": {"out": str(out)}},
            ],
        }

    # Given a step in a container that needs over 100 MiB for a message, and may use 64
    flow = world.start_flow("hungry", eating(64))
    # When a message comes
    world.send(flow, range(1))
    # Then the kill is named with its limit, and the flow is suspended at the third
    eventually("the kill is told", lambda: "all of its 64 MiB" in step_status(world, flow, "eat").message)
    status = world.flow_becomes(flow, "Suspended", 60)
    assert status.suspended_for == "OutOfMemory"
    assert any("ran out of memory 3 times" in event.message for event in world.events(flow))
    # And with more memory the message, which was kept, is processed
    world.publish_flow("hungry", eating(256))
    requests.resume(world.store, flow, by="test")
    world.all_arrive(out, range(1), 60)


@pytest.mark.slow
def test_nodes_fetch_an_image_by_a_credential_of_the_flow_s_workspace(
    world: World, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_registry(tmp_path) as address:
        image = f"{address}/probe:1.0.0"
        # Given an image in a registry that asks for a password, and nowhere else
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        login = ["docker", "login", address, "--username", USER, "--password-stdin"]
        subprocess.run(login, input=PASSWORD, text=True, check=True, capture_output=True, timeout=60)
        command("component", "build", str(COMPONENTS / "probe"), "--name", "fetched", "--base", base, "--tag", image)
        docker("push", "--quiet", image)
        named = ("--name", "fetched", "--registry-credential", "example-registry")
        command("component", "deploy", "--image", image, *named)
        docker("image", "rm", "--force", image)
        monkeypatch.delenv("DOCKER_CONFIG")
        # And its password in the workspace
        vault = Vault(world.settings.vault_addr, world.settings.vault_token)
        vault.set_credential("default", "example-registry", {"username": USER, "password": PASSWORD})
        # When a flow uses it
        world.start_controller()
        definition = {"idle_after": "60s", "steps": [{"id": "receive", "use": "fetched:receive"}]}
        flow = world.start_flow("fetches", definition)
        # Then the node fetched it, and the job holds no password
        assert len(containers(world.settings, flow)) == 1
        job = world.nomad.job("default", flow.version(1).job_id)
        assert job is not None
        assert PASSWORD not in json.dumps(job.raw)
        assert PASSWORD not in json.dumps(http.get(f"{world.settings.nomad_addr}/v1/allocations", timeout=5).json())


def step_status(world: World, flow: FlowRef, step: str) -> StepStatus:
    return next(one for one in world.status(flow).steps if one.id == step)

"""The local stack as its users meet it: through the command, and with processes dying under it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from nomadflows.devstack import processes
from nomadflows.devstack.stack import Stack
from nomadflows.devstack.state import load_state, supervised
from nomadflows.settings import Settings, cache


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "nomadflows", "dev", *words]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NOMADFLOWS_CONFIG"}
    return {**kept, "NOMADFLOWS_HOME": str(home)}


def dev(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *words), env=environment(home), capture_output=True, text=True, timeout=180, check=False
    )


def processes_of(home: Path) -> list[str]:
    """Everything that mentions this stack's folder, zombies and this test left out."""
    return [
        one.command
        for one in processes.table()
        if str(home) in one.command and one.pid != os.getpid() and processes.identify(one.pid)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "nf"
    yield where
    Stack(where, cache()).reset(lambda _: None)


def test_everything_is_ready_after_up(stack: Settings, local_stack: Stack) -> None:
    state = local_stack.state()
    assert state is not None
    assert {one.name: one.state for one in state.servers} == {
        "epmd": "ready",
        "rabbitmq": "ready",
        "consul": "ready",
        "vault": "ready",
        "nomad": "ready",
        "nomad-client": "ready",
        "identities": "ready",
    }
    assert local_stack.layout.settings_file.stat().st_mode & 0o777 == 0o600


def test_second_up_changes_nothing(local_stack: Stack) -> None:
    # Given
    before = local_stack.state()
    settings = local_stack.layout.settings_file.read_text()

    # When
    again = dev(local_stack.home, "up", "--no-controller")

    # Then
    assert again.returncode == 0, again.stderr
    assert "was up already; nothing was changed" in again.stdout
    assert local_stack.state() == before
    assert local_stack.layout.settings_file.read_text() == settings


def test_up_with_other_options_is_refused_while_up(local_stack: Stack) -> None:
    answer = dev(local_stack.home, "up", "--use-running", "consul=http://127.0.0.1:1")
    assert answer.returncode == 1
    assert "with other options" in answer.stderr


def test_status_for_programs(local_stack: Stack) -> None:
    answer = dev(local_stack.home, "status", "-o", "json")
    assert answer.returncode == 0
    data = json.loads(answer.stdout)
    assert data["phase"] == "ready"
    assert {one["name"] for one in data["servers"]} >= {"rabbitmq", "consul", "vault", "nomad"}
    assert "amqp_uri" not in answer.stdout
    password = local_stack.addresses().amqp_uri.split(":")[2].split("@")[0]  # type: ignore[union-attr]
    assert password not in answer.stdout


def test_servers_listen_on_loopback_only(local_stack: Stack) -> None:
    """Also what nobody asked for: gossip, RPC, the Erlang distribution."""
    mine = {one.process.pid for one in local_stack.state().servers if one.process}  # type: ignore[union-attr]
    open_to_all = [row for pid in mine for row in listening(pid) if not row.startswith(("127.", "::1"))]
    assert open_to_all == []


LOOPBACK_6 = ("00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def listening(pid: int) -> list[str]:
    """Local addresses of a process' listening TCP sockets."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink()) if link.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            host, port = fields[1].split(":")
            found.append(".".join(str(byte) for byte in reversed(bytes.fromhex(host))) + f":{int(port, 16)}")
    for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes and not fields[1].startswith(LOOPBACK_6):
            found.append(fields[1])
    return found


@pytest.mark.parametrize("name", ["consul", "nomad", "nomad-client", "vault", "rabbitmq", "epmd"])
def test_a_server_that_dies_is_started_again(servers: Any, name: str) -> None:
    # Given
    before = servers.view(name)

    # When
    after = servers.restart(name, signal.SIGKILL)

    # Then
    assert after.process != before.process
    state = servers.stack.state()
    assert state.phase == "ready"


def test_a_vault_that_restarts_is_unsealed_with_its_secrets(stack: Settings, servers: Any) -> None:
    # Given
    url = f"{stack.vault_addr}/v1/{stack.kv_mount}/data/test/kept"
    headers = {"X-Vault-Token": stack.vault_token}
    requests.post(url, json={"data": {"a": "b"}}, headers=headers, timeout=5).raise_for_status()

    # When
    servers.restart("vault")

    # Then
    answer = requests.get(url, headers=headers, timeout=5)
    assert answer.json()["data"]["data"] == {"a": "b"}


def test_workload_identities_are_accepted(stack: Settings) -> None:
    answer = requests.get(
        f"{stack.vault_addr}/v1/auth/{stack.vault_auth_mount}/config",
        headers={"X-Vault-Token": stack.vault_token},
        timeout=5,
    )
    assert answer.json()["data"]["jwks_url"] == f"{stack.nomad_addr}/.well-known/jwks.json"


def test_data_is_there_after_down_and_up(home: Path) -> None:
    # Given a stack with a key in Consul, a queue in RabbitMQ and a job with a running step in Nomad
    first = dev(home, "up", "--no-controller")
    assert first.returncode == 0, first.stderr
    at = Stack(home, cache()).addresses()
    assert at is not None
    requests.put(f"{at.consul}/v1/kv/nomadflows/test", data="kept", timeout=5).raise_for_status()
    credentials = tuple(at.amqp_uri.partition("://")[2].rpartition("@")[0].split(":"))
    queue = f"{at.rabbitmq_api}/api/queues/%2F/kept"
    requests.put(queue, json={"durable": True}, auth=credentials, timeout=5).raise_for_status()  # type: ignore[arg-type]
    requests.put(f"{at.nomad}/v1/jobs", json=sleeper(), timeout=5).raise_for_status()
    step = await_step(home)

    # When
    down = dev(home, "down")

    # Then nothing is left running, the step included
    assert down.returncode == 0, down.stderr
    assert "The stack is down." in down.stdout
    assert processes_of(home) == []
    assert not processes.is_alive(step)
    assert not (home / "stack.toml").exists()

    # When
    second = dev(home, "up", "--no-controller")

    # Then
    assert second.returncode == 0, second.stderr
    kept = requests.get(f"{at.consul}/v1/kv/nomadflows/test?raw", timeout=5)
    assert kept.text == "kept"
    assert requests.get(queue, auth=credentials, timeout=5).status_code == 200  # type: ignore[arg-type]
    assert requests.get(f"{at.nomad}/v1/job/sleeper", timeout=5).json()["Status"] == "running"
    assert await_step(home) != step
    assert dev(home, "reset", "--yes").returncode == 0
    assert not home.exists()


def sleeper() -> dict[str, Any]:
    task = {
        "Name": "step",
        "Driver": "raw_exec",
        "Config": {"command": "/bin/sleep", "args": ["7001"]},
        "Resources": {"CPU": 50, "MemoryMB": 32},
    }
    group = {"Name": "step", "Count": 1, "Tasks": [task], "RestartPolicy": {"Attempts": 10, "Delay": 10**8}}
    return {"Job": {"ID": "sleeper", "Name": "sleeper", "Type": "service", "TaskGroups": [group]}}


def await_step(home: Path, timeout: float = 30) -> processes.Identity:
    """The one `sleep 7001` whose allocation is in this stack's data."""
    deadline = time.monotonic() + timeout
    mark = f"{home}/nomad/alloc/"
    while time.monotonic() < deadline:
        for one in processes.table():
            if one.command.endswith("sleep 7001") and mark in workplace(one.pid):
                who = processes.identify(one.pid)
                if who is not None:
                    return who
        time.sleep(0.05)
    raise AssertionError("the step did not start")


def workplace(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_killed_up_leaves_nothing(home: Path) -> None:
    # Given an `up` that has started servers and is not done
    up = subprocess.Popen(
        command(home, "up", "--no-controller"),
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    layout = Stack(home, cache()).layout
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = load_state(layout)
        if state is not None and any(one.process for one in state.servers):
            break
        time.sleep(0.01)
    else:
        pytest.fail("no server was started")

    # When
    up.kill()
    up.wait()

    # Then
    deadline = time.monotonic() + 60
    while (supervised(layout) or processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(home) == []
    assert not layout.settings_file.exists()


def test_down_stops_what_a_killed_supervisor_left(home: Path) -> None:
    # Given
    assert dev(home, "up", "--no-controller").returncode == 0
    stack = Stack(home, cache())
    state = stack.state()
    assert state is not None
    os.kill(state.supervisor.pid, signal.SIGKILL)
    assert processes.wait_gone([state.supervisor], time.monotonic() + 5) == []
    assert {one.name for one in stack.orphans()} == {"epmd", "rabbitmq", "consul", "vault", "nomad", "nomad-client"}

    # When
    answer = dev(home, "down")

    # Then
    assert answer.returncode == 0, answer.stderr
    assert processes_of(home) == []

"""A database's password: from the command line into Vault, from there into the one step that needs it, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests as http

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.names import FlowRef
from tests.features.test_gateway import free_port
from tests.postgres import private_postgres
from tests.world import World, eventually

PASSWORD = "Xq7-never-to-be-seen"


def flow(credential: str) -> dict[str, Any]:
    return {
        "steps": [
            {"id": "receive", "use": "probe:receive"},
            {
                "id": "store",
                "use": "sql:upsert",
                "credential": credential,
                "with": {"table": "numbers", "key": "n"},
                "map": {"n": "n"},
            },
        ]
    }


def set_credential(name: str, **fields: str) -> str:
    """As a person would, the values on standard input; what the command said."""
    command = [sys.executable, "-m", "nomadflows", "credential", "set", name, "--stdin"]
    done = subprocess.run(command, input=json.dumps(fields), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    run(arguments, Session())
    captured = capsys.readouterr()
    return captured.out + captured.err


def in_consul(world: World) -> str:
    answer = http.get(f"{world.settings.consul_addr}/v1/kv/?recurse=true", timeout=5)
    return "\n".join(b64decode(entry["Value"] or "").decode(errors="replace") for entry in answer.json())


def of_processes(pids: list[int]) -> str:
    """Command lines and environments, as anybody on the node with the same rights reads them."""
    assert pids
    files = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ")]
    return "\n".join(file.read_bytes().decode(errors="replace") for file in files)


def test_a_password_reaches_the_step_that_needs_it_and_nothing_else(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.deploy()
    controller = world.start_controller()
    world.someone_leads()
    with private_postgres() as address:
        # Given one flow whose database answers, and one whose database does not
        port = address.rsplit(":", 1)[1].split("/")[0]
        parts = {"driver": "postgresql", "host": "127.0.0.1", "database": "postgres", "user": "test"}
        heard = [
            set_credential("right-db", **parts, port=port, password=PASSWORD),
            set_credential("wrong-db", **parts, port=str(free_port()), password=PASSWORD),
        ]
        flows = [world.start_flow("paid-in", flow("right-db")), world.start_flow("paid-late", flow("wrong-db"))]
        # When both get a message
        for ref in flows:
            world.send(ref, range(1, 2))
        # Then the one writes its row by the password, and the other tells that it will try again
        eventually("the row is there", lambda: rows(address) == [(1,)], 40)
        eventually("the failure is told", lambda: "rebound 1 of" in said(capsys, "flow", "logs", "paid-late"), 40, 0.5)
        # And the password stands nowhere: not in state, job, process, log, error or answer
        seen = {
            "the command's answer": "\n".join(heard),
            "Consul": in_consul(world),
            "jobs": "".join(json.dumps(registered(world, ref)) for ref in flows),
            "processes": of_processes([controller.pid, *(pid for ref in flows for pid in world.step_pids(ref))]),
            "logs": "".join(said(capsys, "flow", "logs", ref.flow) for ref in flows),
            "credentials": said(capsys, "credential", "list") + said(capsys, "credential", "show", "right-db"),
            "the controller's log": "".join(file.read_text() for file in world.folder.glob("controller-*.log")),
        }
        assert [place for place, text in seen.items() if PASSWORD in text] == []
        assert all(seen.values())


def registered(world: World, ref: FlowRef) -> Any:
    job = world.nomad.job(ref.workspace, ref.version(1).job_id)
    assert job is not None
    return job.raw


def rows(address: str) -> list[tuple[int, ...]]:
    with psycopg.connect(address) as database:
        try:
            return database.execute("SELECT n FROM numbers").fetchall()
        except psycopg.errors.UndefinedTable:
            return []

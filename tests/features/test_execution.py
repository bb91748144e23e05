"""One request's execution, found again in everything it caused: answer, logs of all steps, error record, input."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests as http

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from tests.features.test_gateway import free_port, gateway
from tests.world import World, eventually

STEPS = ("receive", "first", "second")
FLOW = {
    "steps": [
        {"id": "receive", "use": "teller:receive"},
        {"id": "first", "use": "teller:tell"},
        {"id": "second", "use": "teller:tell", "with": {"fails": True}},
    ]
}


def test_an_execution_is_found_in_everything_it_caused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        capsys.readouterr()
        assert run(["flow", *arguments], Session()) == 0
        return capsys.readouterr().out

    def failures(execution: str) -> list[dict[str, Any]]:
        return list(json.loads(said("errors", "traced", "--each", "--execution", execution, "-o", "json")))

    world.deploy("teller")
    world.start_controller()
    port = free_port()
    with gateway(world, port):
        # Given a flow of three steps, and two requests, the second of which fails in its last step
        flow = world.start_flow("traced", FLOW)
        url = f"http://127.0.0.1:{port}/hook/default/traced"
        good, bad = (http.post(url, json={"n": n, "fail": n == 2}, timeout=5) for n in (1, 2))
        executions = [answer.headers["x-execution-id"] for answer in (good, bad)]
        assert executions == [answer.json()["requestId"] for answer in (good, bad)]
        # Then each step's log tells both apart
        eventually("the second has failed", lambda: failures(executions[1]), 30)
        for number, execution in enumerate(executions, 1):
            told = f"told of {number}"
            lines = eventually(
                f"all steps logged {number}",
                lambda: (found := said("logs", "traced", "--execution", execution)).count(told) == 3 and found,  # noqa: B023
                20,
            ).splitlines()
            assert {line.split()[0] for line in lines if told in line} == set(STEPS)
            assert not [line for line in lines if f"told of {3 - number}" in line]
        # And the error record is the second's alone, with the message it failed on
        assert failures(executions[0]) == []
        (record,) = failures(executions[1])
        assert (record["step"], record["thread"], record["message"]) == ("second", executions[1], "told to fail")
        assert record["input"]["body"] == {"n": 2, "fail": True}
        assert "process failed: ValueError" in said("logs", "traced", "--execution", executions[1])
        world.stop_flow(flow)

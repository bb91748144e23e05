"""A mapper and an expression that does not end, on a real broker."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.stack.runtime.harness import Harness, until

MAPPER = Path(__file__).parents[3] / "components" / "mapper"


def test_an_endless_evaluation_is_an_error_of_its_message_after_one_redelivery(harness: Harness):
    # Given a mapper, and among its messages one whose evaluation keeps the interpreter to itself
    harness.api.step = {"config": {"mapping": {"n": "n", "several": "$distinct(a)"}}, "snapshot": {}}
    harness.env["FUNCTION"] = "map"
    harness.variables = {"NOMADFLOWS_COMPONENT_DIR": str(MAPPER), "NOMADFLOWS_EVALUATION_S": "1"}
    first = harness.start()
    harness.send({"n": 1, "a": [1, 1]})
    harness.send({"n": 2, "a": list(range(100_000))})
    harness.send({"n": 3, "a": [2, 3]})
    # Then the process that had it is ended by the kernel
    until(lambda: first.poll() is not None, "the mapper to die")
    assert first.returncode == -signal.SIGALRM
    # And the next one makes an error of it and goes on, through another of its kind too
    second = harness.start()
    assert harness.bodies("data", 2) == [{"n": 1, "several": [1]}, {"n": 3, "several": [2, 3]}]
    assert "did not end within 1 s" in harness.error().message
    harness.send({"n": 4, "a": list(range(100_000))})
    harness.send({"n": 5, "a": [5]})
    assert harness.bodies("data", 1) == [{"n": 5, "several": [5]}]
    assert harness.error().input["body"]["n"] == 4
    harness.settled()
    assert harness.depth("dead") == 2
    assert harness.stop(second) == 0

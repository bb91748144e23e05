"""What failed is listed, told to the error handler, and tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.features.test_node import Json, answer, chain, step
from tests.world import World, command, eventually

pytestmark = pytest.mark.stack


@pytest.mark.slow
def test_errors_are_listed_shown_and_retried(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "repair",
        chain(
            step("receive", "probe:receive"),
            step("picky", "node-probe:throwing", only=1),
            step("note", "probe:relay", out=out, map={"n": "n", "first": "$getPassthrough().receive.body.n"}),
            idle_after="5m",
        ),
    )
    # Given a message that a step fails on
    node_world.send(flow, range(3))
    node_world.all_arrive(out, [0, 2])  # type: ignore[arg-type]
    listed = eventually("the error is listed", lambda: command("flow", "errors", "repair", "--each"))
    assert [(e["step"], e["name"], e["message"]) for e in listed] == [("picky", "Error", "cannot do 1: ")]
    assert [e["count"] for e in command("flow", "errors", "repair")] == [1]
    # Then its input is shown, and the rejected message itself
    shown = command("flow", "errors", "repair", listed[0]["id"])
    assert shown["input"]["body"] == {"n": 1}
    assert [d["step"] for d in command("flow", "dead", "repair")] == ["picky"]
    # When it is retried with a mended body
    body = tmp_path / "body.json"
    body.write_text('{"n": 11}')
    assert command("flow", "retry", "repair", listed[0]["id"], "--body", str(body)) == {"retried": 1}
    # Then it goes on, the list is empty, and no dead letter is left that would bring the message a second time
    node_world.all_arrive(out, [0, 2, 11])  # type: ignore[arg-type]
    assert command("flow", "errors", "repair", "--each") == []
    assert command("flow", "dead", "repair") == []
    # And a rejected message can be tried again as it was, which takes its error along, or be dropped
    node_world.send(flow, range(1, 2))
    eventually("it is rejected", lambda: command("flow", "dead", "repair") and command("flow", "errors", "repair"))
    failed = command("flow", "errors", "repair", "--each")
    assert command("flow", "dead", "repair", "--step", "picky", "--replay") == {"replayed": 1}
    dead = eventually("it failed again", lambda: command("flow", "dead", "repair"), 60)
    again = eventually("its error is listed", lambda: command("flow", "errors", "repair", "--each"))
    assert len(again) == 1
    assert again != failed
    assert command("flow", "dead", "repair", dead[0]["id"], "--drop") == {"dropped": 1}
    assert command("flow", "dead", "repair") == []


def told(world: World, language: str, **settings: object) -> Json:
    component = {"python": "probe", "node": "node-probe"}[language]
    return {**step("oops", f"{component}:told", **settings), "error_handler": True}


@pytest.mark.parametrize("language", ["python", pytest.param("node", marks=pytest.mark.slow)])
def test_the_error_handler_gets_the_errors_of_all_steps_and_its_own_can_be_retried(
    node_world: World, tmp_path: Path, language: str
) -> None:
    out, errors, mended = tmp_path / "out", tmp_path / "errors", tmp_path / "mended"
    name = f"told-{language}"
    flow = node_world.start_flow(
        name,
        chain(
            step("receive", "probe:receive"),
            step("in-node", "node-probe:throwing", only=1),
            step("in-python", "probe:relay", fail_on=2),
            step("note", "probe:relay", out=out),
            told(node_world, language, out=errors, until=mended),
            idle_after="5m",
        ),
    )
    # Given a Node step and a Python step that fail, and an error handler that fails on both of their errors
    node_world.send(flow, range(3))
    node_world.all_arrive(out, range(1))

    def listed(step: str = "") -> list[str]:
        return sorted(
            error["step"] for error in command("flow", "errors", name, "--each") if step in {"", error["step"]}
        )

    eventually("all have failed", lambda: listed() == ["in-node", "in-python", "oops", "oops"])
    eventually("all are rejected", lambda: len(command("flow", "dead", name)) == 4)
    # When it is mended and its errors are retried
    mended.touch()
    assert command("flow", "retry", name, "--step", "oops") == {"retried": 2}
    # Then it is told of both, and of which step each is
    node_world.all_arrive(errors, range(1, 3))
    assert sorted((line.split()[0], line.split()[3]) for line in errors.read_text().splitlines()) == [
        ("1", "in-node"),
        ("2", "in-python"),
    ]
    assert listed() == ["in-node", "in-python"]
    assert sorted(letter["step"] for letter in command("flow", "dead", name)) == ["in-node", "in-python"]
    # And a retry from an earlier step begins with what that step was given
    assert command("flow", "retry", name, "--step", "in-python", "--from", "in-node") == {"retried": 1}
    eventually("it came as far as before", lambda: node_world.seen(errors)[2] == 2)
    assert listed("in-python") == ["in-python"]


def test_an_error_handler_that_replies_is_the_one_that_answers(node_world: World) -> None:
    handler = step("oops", "node-probe:reply", map={"n": "errorInput.body.n"})
    flow = node_world.start_flow(
        "told-caller",
        chain(
            step("receive", "node-probe:receive"),
            step("fails", "probe:relay", fail_on=7),
            {**handler, "error_handler": True},
        ),
    )
    # Given a step fails on a caller's message, then the first answer is the handler's, not the error
    found = answer(node_world, flow, "reply.three")
    assert (found.status, found.failed) == (202, False)
    assert "7" in str(found.body)


@pytest.mark.slow
def test_the_error_handler_is_told_of_an_error_at_a_start(node_world: World, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    handler = step("oops", "probe:relay", out=errors, map={"n": '$contains(error.message, "no licence") ? 5 : 6'})
    node_world.start_flow(
        "told-start",
        chain(
            step("receive", "probe:receive"),
            step("broken", "probe:relay", fail_at_start="no licence"),
            {**handler, "error_handler": True},
        ),
        state="Suspended",
    )
    node_world.all_arrive(errors, range(5, 6))
    # It holds no message that could be tried again
    with pytest.raises(AssertionError, match="an error at a start has no message"):
        command("flow", "retry", "told-start", "--step", "broken")

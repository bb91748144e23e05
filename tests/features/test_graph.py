"""One flow with everything a graph can do: copies, meetings, conditions, a default, a filter, an end of the passthrough."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.world import World

pytestmark = pytest.mark.stack

# What stands after `joined`: n if the whole way is known, n + 1000 if it came by the step that ends the passthrough.
MARK = "$exists($getPassthrough().receive) ? n : $getPassthrough().right.body.n + 1000"


def test_messages_go_where_the_graph_says_and_nowhere_else(world: World, tmp_path: Path) -> None:
    def outs(*names: str) -> dict[str, Counter[int]]:
        return {name: world.seen(tmp_path / name) for name in names}

    def note(name: str, **more: object) -> dict[str, object]:
        return {"id": name, "use": "probe:relay", "with": {"out": str(tmp_path / name)}, **more}

    world.deploy()
    world.start_controller()
    # Given a step that feeds two branches, of which one ends the passthrough and passes on what it got
    flow = world.start_flow(
        "graph",
        {
            "idle_after": "2s",
            "variables": {"large": "1005"},
            "steps": [
                {"id": "receive", "use": "probe:receive"},
                {"id": "second", "use": "probe:relay"},
                note("left", after="second"),
                {"id": "right", "use": "log:write", "after": "second", "passthrough": False},
                # And they meet, one as it is, the other mapped, and are routed: a flow's variable says what is large
                note("joined", after=["left", "right"], map={"n": MARK}, edges={"left": {}}),
                note("even", after="joined", when="n % 2 = 0"),
                note("large", after="joined", when="n >= $number($getFlowVariables().large)"),
                note("rest", after="joined", otherwise=True),
                note("three", after="rest", when="n % 1000 = 3"),
            ],
        },
    )
    # When ten messages come, and the flow has nothing left to do
    world.send(flow, range(10))
    world.all_arrive(tmp_path / "three", [3, 1003])  # type: ignore[arg-type]
    world.flow_becomes(flow, "Sleeping", 60)
    # Then each has gone every way that is meant for it, once, and no other
    both = [*range(10), *range(1000, 1010)]
    large = range(1005, 1010)
    assert outs("left", "joined", "even", "large", "rest", "three") == {
        "left": Counter(range(10)),
        "joined": Counter(both),
        "even": Counter(n for n in both if n % 2 == 0),
        "large": Counter(large),
        "rest": Counter(n for n in both if n % 2 and n not in large),
        "three": Counter([3, 1003]),
    }
    world.stop_flow(flow)

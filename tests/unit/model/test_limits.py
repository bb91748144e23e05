"""Whose word on queue limits counts, and what is no word on them."""

from typing import Any

import pytest

from nomadflows.model.errors import InputError
from nomadflows.model.limits import holding, of_version, resolve
from nomadflows.model.queuelimits import QueueLimits

BUILT_IN = QueueLimits(75_000, 209_715_200)
MIB = 1024**2


@pytest.mark.parametrize(
    ("flow", "workspace", "installation", "expected"),
    [
        (None, None, None, BUILT_IN),
        (None, None, {"messages": 3}, QueueLimits(3, BUILT_IN.bytes)),
        (None, {"messages": 2}, {"messages": 3}, QueueLimits(2, BUILT_IN.bytes)),
        ({"messages": 1}, {"messages": 2}, {"messages": 3}, QueueLimits(1, BUILT_IN.bytes)),
        ({"messages": 1}, {"bytes": 2 * MIB}, {"messages": 3, "bytes": 3 * MIB}, QueueLimits(1, 2 * MIB)),
        ({"messages": 75_000}, {"messages": 2}, None, BUILT_IN),  # written, though it is the default
        ({"drain": 0, "bytes": "1MiB"}, {"messages": 2}, None, QueueLimits(2, MIB)),
    ],
)
def test_flow_before_workspace_before_installation(
    flow: Any, workspace: Any, installation: Any, expected: QueueLimits
) -> None:
    definition = {"flow": "a"} | ({"limits": flow} if flow else {})

    assert (
        resolve(definition, {"type": "full"} | ({"limits": workspace} if workspace else {}), installation) == expected
    )
    assert resolve(definition, {"limits": workspace}, installation or {}) == expected


def test_who_says_so_is_told():
    held = holding({"workspace": {"messages": 2}, "installation": {"messages": 3}})

    assert held.origin == {"messages": "workspace", "bytes": "built in"}


@pytest.mark.parametrize("limits", [{"messages": 0}, {"messages": "many"}, {"bytes": 1}, {"massages": 5}, [5], "5"])
def test_what_is_no_limit_is_refused_with_where_it_stands(limits: Any):
    with pytest.raises(InputError, match="limits of the workspace: "):
        resolve({}, {"limits": limits}, None)


def test_a_version_has_what_was_written_into_it_or_what_its_definition_says():
    definition = {"flow": "a", "limits": {"messages": 7}}

    assert of_version({"definition": definition, "limits": {"messages": 5, "bytes": MIB}}) == QueueLimits(5, MIB)
    assert of_version({"definition": definition}) == QueueLimits(7, BUILT_IN.bytes)

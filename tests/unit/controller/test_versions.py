"""What the controller reads of a published version."""

from typing import Any

import pytest

from nomadflows.controller.versions import Versions
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.store.store import Store

REF = FlowRef("default", "orders").version(1)
DEFINITION = {"flow": "orders", "limits": {"messages": 7}, "steps": [{"id": "tick", "use": "timer:tick"}]}


class OneVersion(Store):
    """A store that answers with one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def version(self, _vref: VersionRef) -> dict[str, Any]:
        return self.document


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ({"limits": {"messages": 5, "bytes": 1_048_576}}, QueueLimits(5, 1_048_576)),
        ({}, QueueLimits(7, 209_715_200)),  # from before limits were written into versions
    ],
)
def test_a_version_keeps_the_limits_it_was_published_with(published: dict[str, Any], expected: QueueLimits):
    store = OneVersion({"definition": DEFINITION, **published})

    assert Versions().get(store, REF).limits == expected

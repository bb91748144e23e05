"""What the outputs of a call carry on of earlier steps."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.runtime.envelope import Passthrough
from tests.unit.runtime.test_settings import read

CAME = {"id": "m", "body": {"n": 1}, "passthrough": {"a": {"body": {"n": 0}}}}
BEFORE = {"before": {"id": "m", "body": {"n": 1}}}


@pytest.mark.parametrize(("enabled", "own", "carried"), [
    (True, "true", {"a": {"body": {"n": 0}}, **BEFORE}),
    (True, "false", {"a": {"body": {"n": 0}}, "step_id": {"body": {"n": 2}}}),
    (False, "true", None),
    (False, "false", None),
])  # fmt: skip
@pytest.mark.parametrize("passed_on", [{}, {"passthrough": CAME["passthrough"]}], ids=["new", "passed on"])
def test_earlier_messages_end_where_passthrough_is_off(enabled: bool, own: str, carried: Any, passed_on: Any) -> None:
    passthrough = Passthrough(
        read(NO_SELF_PASSTRHOUGH=own), lambda: dict(CAME), {"stepId": "before"}, enabled=enabled
    )  # fmt: skip
    out = {"body": {"n": 2}, **passed_on}
    passthrough.add_to(out)
    assert out == {"body": {"n": 2}, **({"passthrough": carried} if carried else {})}

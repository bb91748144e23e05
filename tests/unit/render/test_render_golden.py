"""The job specs of two flows, whole, as a reader of Nomad sees them.

After a change that is meant: `NOMADFLOWS_GOLDEN=write pytest tests/unit/render`, and read the difference.
"""

import os
from pathlib import Path

import pytest

from tests.unit.render.example_flows import FLOWS

HERE = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", FLOWS)
def test_job_spec_is_the_golden_one(name):
    file = HERE / f"{name}.nomad.hcl"
    rendered = FLOWS[name]()
    if os.environ.get("NOMADFLOWS_GOLDEN") == "write":
        file.write_text(rendered)
    assert rendered == file.read_text()

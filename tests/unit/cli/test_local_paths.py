"""Paths in a flow file are meant from the file's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from nomadflows.catalogue import shipped
from nomadflows.cli.flow_define import read_definition

FLOW = """
flow: orders
steps:
  - {{id: watch, use: "files:watch", with: {{path: {path}}}}}
  - {{id: report, use: "log:write", with: {{text: not/a/path}}}}
"""


@pytest.mark.parametrize(
    ("written", "stored"),
    [("in/orders", "{folder}/in/orders"), ("/srv/orders", "/srv/orders"), ("~/orders", "~/orders")],
)
def test_a_relative_path_is_meant_from_the_flow_files_folder(tmp_path: Path, written: str, stored: str) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW.format(path=written))
    definition = read_definition(str(file), shipped)
    assert definition.step("watch").with_["path"] == stored.format(folder=tmp_path)
    assert definition.step("report").with_["text"] == "not/a/path"

"""Which triggers have hooks, as found when a component is deployed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nomadflows.hooks import functions_with_hooks
from nomadflows.model.component import ComponentVersion


def component(folder: Path, language: str, **sources: str) -> ComponentVersion:
    end = {"python": "py", "node": "js"}[language]
    for name, source in sources.items():
        (folder / f"{name}.{end}").write_text(source)
    triggers = {name: {"title": name, "main": f"./{name}.{end}"} for name in sources}
    return ComponentVersion("c", "1.0.0", language, {"triggers": triggers, "actions": {}})


def test_pythons_are_read_from_the_source(tmp_path: Path):
    found = component(
        tmp_path, "python", plain="def process(): ...", defined="async def startup(c): ...", shared="from x import shutdown",
        other="def f():\n  def startup(): ...",
    )  # fmt: skip
    assert functions_with_hooks(found, tmp_path) == ["defined", "shared"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_nodes_are_loaded(tmp_path: Path):
    found = component(
        tmp_path, "node", plain="exports.process = () => {}; console.log('noise')", broken="throw new Error('no')",
        shared="module.exports = require('./base')",
    )  # fmt: skip
    (tmp_path / "base.js").write_text("module.exports = { shutdown() {}, process() {} }")
    assert functions_with_hooks(found, tmp_path) == ["broken", "shared"]


def test_without_node_every_trigger_may_have_them(tmp_path: Path):
    found = component(tmp_path, "node", plain="")
    assert functions_with_hooks(found, tmp_path, "no-such-node") == ["plain"]
    assert ComponentVersion.from_json(json.loads(json.dumps(found.to_json()))) == found

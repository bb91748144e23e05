"""What is advised against is marked where it is listed, and told to who defines a flow with it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.cli.component import named
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import InputError, NotFound
from nomadflows.model.states import Status

TRIGGERS: dict[str, Any] = {"hear": {"title": "Hear", "type": "polling"}}
ACTIONS: dict[str, Any] = {"put": {"title": "Put"}, "post": {"title": "Post", "deprecated": True}}
COMPONENTS = {
    "shop": [
        ComponentVersion("shop", number, "python", {"triggers": TRIGGERS, "actions": ACTIONS})
        for number in ("1.1.0", "1.0.0")
    ],
    "old": [ComponentVersion("old", "1.0.0", "python", {"actions": ACTIONS, "deprecated": True})],
}
MARKS = {"shop@1.0.0": {"why": "loses time zones", "by": "eva"}}


@pytest.fixture
def session() -> Session:
    made = Session()
    made.settings = SimpleNamespace(workspace="default")  # type: ignore[misc,assignment]
    made.store = SimpleNamespace(  # type: ignore[misc,assignment]
        components=lambda: {name: list(found) for name, found in COMPONENTS.items()},
        component_versions=lambda name: COMPONENTS.get(name, []),
        deprecations=lambda name: MARKS if name == "shop" else {},
        deprecated_versions=lambda: set(MARKS),
    )
    return made


def shown(capsys: pytest.CaptureFixture[str], session: Session, *arguments: str) -> Any:
    assert run([*arguments, "-o", "json"], session) == 0
    return json.loads(capsys.readouterr().out)


def test_components_and_functions_are_marked(capsys, session):
    listed = shown(capsys, session, "component", "list")
    assert [(row["component"], row["deprecated"]) for row in listed] == [
        ("shop", None),
        ("old", "its descriptor says so"),
    ]
    assert shown(capsys, session, "component", "show", "old")["deprecated"] == {"why": "its descriptor says so"}
    shop = shown(capsys, session, "component", "show", "shop@1.0.0")
    assert shop["deprecated"] == MARKS["shop@1.0.0"]
    assert shop["deprecated_functions"] == ["post"]
    assert run(["component", "show", "shop", "-o", "table"], session) == 0
    assert "action, deprecated" in capsys.readouterr().out
    versions = shown(capsys, session, "component", "versions", "shop")
    assert [row["deprecated"] for row in versions] == [None, MARKS["shop@1.0.0"]]


def test_a_component_without_a_version_is_the_one_that_a_step_would_get(session):
    session.store.deprecations = lambda _name: {"shop@1.1.0": {"why": "loses orders"}}
    assert named(session, "shop").version == "1.0.0"
    assert named(session, "shop@1.1.0").version == "1.1.0"
    with pytest.raises(NotFound, match=r"shop has no version 2\.0\.0"):
        named(session, "shop@2.0.0")
    with pytest.raises(InputError, match="a version is missing"):
        named(session, "shop@")


def test_a_flow_file_with_something_deprecated_is_valid_and_warned_of(capsys, session, tmp_path: Path):
    file = tmp_path / "flow.yaml"
    file.write_text(
        "flow: shop\nsteps:\n"
        "  - {id: hear, use: 'shop:hear'}\n"
        "  - {id: pinned, use: 'shop@1.0.0:put'}\n"
        "  - {id: post, use: 'shop:post'}\n"
        "  - {id: last, use: 'old:put'}\n"
    )
    assert run(["flow", "validate", str(file)], session) == 0
    assert capsys.readouterr().err.splitlines() == [
        "Warning: pinned: shop@1.0.0 is deprecated (loses time zones), pinned; 1.1.0 is there",
        "Warning: post: shop@1.1.0 is deprecated (its descriptor says so of post)",
        "Warning: last: old@1.0.0 is deprecated (its descriptor says so)",
    ]


def test_a_draft_is_updated_by_its_own_steps(session):
    from nomadflows.cli.freshness import Fresh

    running = {"gone": "shop@1.0.0", "hear": "shop@1.0.0", "other": "shop@1.0.0", "mapper:hear:other": "mapper@1.0.0"}
    record: Any = SimpleNamespace(status=SimpleNamespace(value=Status(components=running)))
    definition = {
        "flow": "shop",
        "steps": [
            {"id": "hear", "use": "shop:hear"},
            {"id": "other", "use": "old:put"},
            {"id": "new", "use": "shop:put"},
        ],
    }
    assert [one.step for one in Fresh(session.store).of_draft(record, definition)] == ["hear"]

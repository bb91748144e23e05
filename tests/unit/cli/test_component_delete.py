"""What `component delete` says of what it does not delete."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nomadflows.cli import component_deploy
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.component import ComponentVersion


@pytest.mark.parametrize(
    ("location", "said"),
    [
        (
            {"image": "edi@sha256:00", "reference": "registry.example/edi:1.0"},
            "; its image registry.example/edi:1.0 stays",
        ),
        ({"artifact": "00"}, "edi@1.0.0 is deleted\n"),
    ],
)
def test_an_image_stays_in_its_registry(monkeypatch, capsys, location, said):
    version = ComponentVersion("edi", "1.0.0", "python", location=location)
    monkeypatch.setattr(component_deploy, "remove", lambda *_: None)
    session = Session()
    session.store = SimpleNamespace(component_versions=lambda _: [version])  # type: ignore[misc,assignment]
    session.settings = SimpleNamespace(workspace="default")  # type: ignore[misc,assignment]
    assert run(["component", "delete", "edi@1.0.0"], session) == 0
    assert said in capsys.readouterr().out

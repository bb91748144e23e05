"""`run --dev`: what is watched follows the flow file, and what an editor does meanwhile ends nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from nomadflows.cli import dev_loop
from nomadflows.cli.dev_loop import DevLoop
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.names import FlowRef


def component(folder: Path, name: str) -> Path:
    made = folder / "components" / name
    made.mkdir(parents=True)
    (made / "component.json").write_text("{}")
    return made


def flow(*components: str) -> str:
    steps = "".join(f"  - {{id: {name}, use: '{name}:do'}}\n" for name in components)
    return f"flow: in-work\nsteps:\n{steps}"


@pytest.fixture
def loop(tmp_path: Path) -> DevLoop:
    made = DevLoop(Session(), str(tmp_path / "flow.yaml"), (), 1.0)
    made.session.settings = SimpleNamespace(step_node="node", step_python="python3")  # type: ignore[misc,assignment]
    return made


def test_a_component_that_the_file_uses_later_is_watched_from_then_on(loop, tmp_path):
    first, second = component(tmp_path, "first"), component(tmp_path, "second")
    Path(loop.file).write_text(flow("first", "log"))
    assert set(loop._saved()) == {Path(loop.file), first / "component.json"}
    Path(loop.file).write_text(flow("first", "second"))
    assert set(loop._saved()) == {Path(loop.file), first / "component.json", second / "component.json"}


@pytest.mark.parametrize("text", ["steps: [", "steps: {a: 1}", "[]", "\u0000"])
def test_a_file_that_is_no_flow_file_ends_nothing(loop, tmp_path, text):
    first = component(tmp_path, "first")
    Path(loop.file).write_text(flow("first"))
    loop._saved()
    Path(loop.file).write_text(text)
    assert Path(loop.file) in loop._saved()
    Path(loop.file).unlink()
    loop._saved()
    Path(loop.file).write_text(flow("first"))
    assert first / "component.json" in loop._saved()


def test_at_the_beginning_it_is_told_with_its_place(tmp_path, capsys):
    file = tmp_path / "flow.yaml"
    file.write_text("flow: x\nsteps: [")
    session = Session()
    session.settings = SimpleNamespace(workspace="default")  # type: ignore[misc,assignment]
    session.store = SimpleNamespace(components=dict, deprecated_versions=set)  # type: ignore[misc,assignment]
    assert run(["run", "--dev", str(file)], session) == 2
    said = capsys.readouterr().err
    assert f"{file}:2" in said
    assert "Traceback" not in said


def test_a_file_that_vanishes_while_it_is_read_is_told_and_looked_at_again(loop, tmp_path, monkeypatch, capsys):
    Path(loop.file).write_text(flow("first"))
    folder = component(tmp_path, "first")

    def vanished(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / ".first.py.swp"))

    monkeypatch.setattr(dev_loop, "read_component", vanished)
    with pytest.raises(NomadflowsError, match=r"first\.py\.swp cannot be read: No such file"):
        loop._deploy(folder)
    # In the loop
    saves = iter([{}, {}])

    def bring_up() -> FlowRef:
        loop._deploy(folder)
        raise AssertionError

    def next_save(_seen: object) -> dict[Path, tuple[int, int]]:
        monkeypatch.setattr(loop, "_bring_up", bring_up)
        try:
            return next(saves)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(loop, "_bring_up", lambda: FlowRef("default", "in-work"))
    monkeypatch.setattr(loop, "_follow", lambda _ref: None)
    monkeypatch.setattr(loop, "_next", next_save)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert capsys.readouterr().err.count("Not taken up") == 2

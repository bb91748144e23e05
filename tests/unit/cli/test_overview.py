"""The help page, the command table, and how quickly the one shows the other."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import click
import pytest

from nomadflows.cli import commands, root
from nomadflows.cli.session import Session


def _median_s(*arguments: str) -> float:
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def test_help_is_quick() -> None:
    assert _median_s("-m", "nomadflows", "--help") <= 5 * _median_s("-c", "pass")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    page = subprocess.run(
        [sys.executable, "-m", "nomadflows", *arguments], capture_output=True, text=True, check=True
    ).stdout
    assert page == commands.overview()
    assert all(f"\n  {name} " in page for _, table in commands.SECTIONS for name in table)


def test_same_page_by_way_of_click(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["-w", "other", "--help"]) == 0
    assert capsys.readouterr().out == commands.overview()


def test_module_that_is_not_there_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(root.cli.table, "dream", ("nomadflows.cli.dream", "dream", "Later."))
    assert root.run(["dream"]) == 1
    assert capsys.readouterr().err == "Error: `nomadflows dream` is not part of this version of nomadflows\n"


def test_import_error_within_a_command_is_not_mistaken_for_a_missing_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(root.cli.table, "dream", ("tests_absent_parent.dream", "dream", "Later."))
    with pytest.raises(ModuleNotFoundError):
        root.run(["dream"])


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["flwo"]) == 2
    assert root.run(["flow", "show"]) == 2
    assert root.run(["flow", "list", "-o", "xml"]) == 2
    assert "Usage:" in capsys.readouterr().err


@click.command()
@click.option("--timeout", type=int, default=7, show_default=True)
@click.pass_obj
def probe(session: Session, timeout: int) -> None:
    """A command of somebody else's, with an option that is also a shared one."""
    click.echo(f"{session.settings.workspace} {session.settings.nomad_addr} {session.output} {timeout}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-w", "one", "-o", "json", "--nomad-addr", "http://n:1", "probe"],
        ["probe", "-w", "one", "-o", "json", "--nomad-addr", "n:1"],
        ["--nomad-addr", "http://n:1", "-o", "json", "probe", "--workspace", "one"],
    ],
)
def test_shared_options_stand_anywhere(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nomadflows.cli.completion.probe", probe, raising=False)
    monkeypatch.setitem(root.cli.table, "probe", ("nomadflows.cli.completion", "probe", "Test."))
    assert root.run(arguments) == 0
    assert capsys.readouterr().out == "one http://n:1 json 7\n"


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def probe() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nomadflows.cli.completion.probe", probe, raising=False)
    monkeypatch.setitem(root.cli.table, "probe", ("nomadflows.cli.completion", "probe", "Test."))
    assert root.run(["probe"]) == 130


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["completion", shell]) == 0
    assert "_NOMADFLOWS_COMPLETE" in capsys.readouterr().out


def test_completion_of_commands() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "nomadflows"],
        capture_output=True,
        text=True,
        check=True,
        env={
            "_NOMADFLOWS_COMPLETE": "bash_complete",
            "COMP_WORDS": "nomadflows flow pub",
            "COMP_CWORD": "2",
            "PATH": "/bin:/usr/bin",
        },
    ).stdout
    assert found == "plain,publish\n"

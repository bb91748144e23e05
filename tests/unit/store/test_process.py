"""A process that has ended is known as such only where that is certain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nomadflows.store.process import Process

SAY_WHO = "from nomadflows.store.process import Process; print(Process.this(), flush=True); input()"


def known(process: Process | None) -> Process:
    assert process is not None, "this test needs /proc"
    return process


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], Process]]:
    with subprocess.Popen(
        [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        yield running, known(Process.parse(running.stdout.readline()))
        running.kill()


def test_a_process_that_runs_has_not_ended(child: tuple[subprocess.Popen[str], Process]) -> None:
    assert not known(Process.this()).has_ended()
    assert not child[1].has_ended()


def test_a_killed_process_has_ended_also_while_its_parent_has_not_asked(
    child: tuple[subprocess.Popen[str], Process],
) -> None:
    running, process = child
    running.kill()
    assert running.stdout is not None
    running.stdout.read()  # closed: it is a zombie now, or about to be
    for _ in range(1_000):
        if process.has_ended():
            break
    assert process.has_ended()
    running.wait()
    assert process.has_ended()


def test_a_number_that_was_given_again_is_another_process() -> None:
    assert replace(known(Process.this()), started="1").has_ended()


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"namespace": "pid:[1]"}])
def test_nothing_is_known_of_a_process_elsewhere(elsewhere: dict[str, str]) -> None:
    gone = replace(known(Process.this()), started="1", **elsewhere)
    assert not gone.is_neighbour()
    assert not gone.has_ended()


@pytest.mark.parametrize("text", ["", "vm:12", "a b c d", "a b 1 2 3"])
def test_what_is_no_process_is_none(text: str) -> None:
    assert Process.parse(text) is None


def test_a_process_comes_back_from_its_text() -> None:
    own = known(Process.this())
    assert Process.parse(str(own)) == own

"""RabbitMQ that is not there: root gets it from Debian's package, everybody else is told how to install it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.devstack import rabbitmq_package
from nomadflows.devstack.rabbitmq_package import find_rabbitmq
from nomadflows.model.errors import Refused


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """One without RabbitMQ, whose apt-get puts it there."""
    found = SimpleNamespace(script=tmp_path / "rabbitmq-server", policy=tmp_path / "policy-rc.d", ran=[], code=0)

    def run(words: list[str], **_: Any) -> Any:
        found.ran.append((words, found.policy.exists()))
        if "install" in words and found.code == 0:
            found.script.touch()
        return SimpleNamespace(returncode=found.code, stderr="E: one\nE: cannot be had\n")

    monkeypatch.setattr(rabbitmq_package, "_DIRECT", (str(found.script),))
    monkeypatch.setattr(rabbitmq_package, "_HOMEBREW", ())
    monkeypatch.setattr(rabbitmq_package, "_START_POLICY", found.policy)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return found


def test_who_is_not_root_is_told_how_in_one_line(machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="RabbitMQ is not installed") as refused:
        find_rabbitmq(lambda _: None)
    assert refused.value.hint is not None
    assert len(refused.value.hint.splitlines()) == 1
    assert all(how in refused.value.hint for how in ("apt-get install", "dnf install", "brew install"))
    assert machine.ran == []


def test_root_gets_the_package_and_no_service(machine: SimpleNamespace) -> None:
    told: list[str] = []
    assert find_rabbitmq(told.append) == machine.script
    assert [words[1] for words, _ in machine.ran] == ["update", "install"]
    assert all(policy for _, policy in machine.ran)
    assert not machine.policy.exists()
    assert len(told) == 2


def test_what_apt_get_says_is_passed_on(machine: SimpleNamespace) -> None:
    machine.code = 100
    with pytest.raises(Refused, match=r"apt-get update failed: E: one \| E: cannot be had"):
        find_rabbitmq(lambda _: None)
    assert not machine.policy.exists()

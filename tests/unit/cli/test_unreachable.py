"""A server that is down: which one, where, what to do; within 5 s, exit code 3."""

from __future__ import annotations

import socket
import time

import pytest

from nomadflows.cli.root import run
from nomadflows.settings import Settings


@pytest.fixture
def closed() -> str:
    """An address nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    """An address that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"  # type: ignore[misc]


@pytest.mark.parametrize(
    "arguments",
    [
        ["flow", "list"],
        ["flow", "show", "orders"],
        ["flow", "start", "orders", "--wait"],
        ["flow", "stop", "orders", "--yes"],
        ["flow", "publish", "orders"],
        ["flow", "versions", "orders"],
        ["flow", "diff", "orders"],
        ["flow", "export", "orders"],
        ["flow", "revert", "orders", "1"],
        ["flow", "scale", "orders", "store", "2"],
        ["flow", "pause-repair", "orders"],
        ["flow", "restore", "orders"],
        ["why", "orders"],
        ["flow", "run-now", "orders"],
        ["flow", "queues", "orders"],
        ["flow", "logs", "orders"],
        ["flow", "enable-realtime", "orders"],
        ["workspace", "list"],
        ["component", "list"],
    ],
)
def test_consul_is_down(arguments: list[str], closed: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    assert run(["--consul-addr", closed, *arguments]) == 3
    assert time.monotonic() - begun < 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Consul at {closed} cannot be reached" in captured.err
    assert len(captured.err.splitlines()) == 2  # and what to do


@pytest.mark.parametrize(
    ("server", "arguments"),
    [
        ("Consul", ["flow", "list"]),
        ("Consul", ["flow", "start", "orders"]),
        ("Vault", ["credential", "list"]),
        ("Vault", ["credential", "set", "db", "a=b"]),
    ],
)
def test_a_server_that_does_not_answer_is_waited_for_once(
    server: str, arguments: list[str], silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    assert run([f"--{server.lower()}-addr", silent, *arguments, "--timeout", "0.5"]) == 3
    assert time.monotonic() - begun < 2
    captured = capsys.readouterr()
    assert f"{server} at {silent}" in captured.err
    assert "`nomadflows d" in captured.err.splitlines()[-1]  # what to do


def test_the_time_a_server_has_leaves_a_second_for_the_command() -> None:
    assert Settings().timeout <= 4


@pytest.mark.parametrize("arguments", [["credential", "list"], ["credential", "set", "db", "a=b"]])
def test_vault_is_down(arguments: list[str], closed: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    assert run(["--vault-addr", closed, *arguments]) == 3
    assert time.monotonic() - begun < 5
    captured = capsys.readouterr()
    assert f"Vault at {closed} cannot be reached" in captured.err
    assert "`nomadflows d" in captured.err.splitlines()[-1]  # what to do

"""Ports: free when chosen, the same ever after, and nobody's standard ports."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nomadflows.devstack.layout import Layout
from nomadflows.devstack.ports import DEFAULTS, choose, is_free, offset_of, remembered_or_chosen
from nomadflows.model.errors import Refused

STANDARD = {4646, 4647, 4648, 8500, 8300, 8301, 8302, 8600, 8200, 8201, 5672, 15672, 25672, 4369, 5432, 8080, 8646}


@contextmanager
def occupied(port: int) -> Iterator[None]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield


@pytest.fixture
def offset() -> int:
    """A block where nothing listens now: another stack of this machine may have the default one."""
    return next(n for n in range(700, 1300, 10) if all(is_free(port + n) for port in DEFAULTS.values()))


def test_defaults_clash_with_no_standard_port_and_no_task() -> None:
    assert len(set(DEFAULTS.values())) == len(DEFAULTS)
    assert not STANDARD & set(DEFAULTS.values())
    assert all(1024 < port < 20000 for port in DEFAULTS.values())  # Nomad gives tasks what is above


def test_a_taken_port_moves_up(offset: int) -> None:
    with occupied(DEFAULTS["vault"] + offset):
        chosen = choose(offset)
    assert chosen["vault"] > DEFAULTS["vault"] + offset
    assert chosen["nomad"] == DEFAULTS["nomad"] + offset
    assert len(set(chosen.values())) == len(chosen)


def test_another_home_never_takes_a_port_of_the_default_stack() -> None:
    for block in range(10, 610, 10):
        assert not set(choose(block).values()) & set(DEFAULTS.values())


def test_ports_are_remembered(tmp_path: Path, offset: int) -> None:
    layout = Layout(tmp_path)
    first = remembered_or_chosen(layout, offset)
    assert remembered_or_chosen(layout, offset + 10) == first


def test_a_remembered_port_that_is_taken_is_named(tmp_path: Path, offset: int) -> None:
    layout = Layout(tmp_path)
    ports = remembered_or_chosen(layout, offset)
    with occupied(ports["consul"]), pytest.raises(Refused, match=f"consul {ports['consul']}"):
        remembered_or_chosen(layout, offset)


def test_ports_of_an_older_set_are_chosen_anew(tmp_path: Path, offset: int) -> None:
    layout = Layout(tmp_path)
    layout.ports_file.write_text(json.dumps({"nomad": 4646}))
    assert set(remembered_or_chosen(layout, offset)) == set(DEFAULTS)


def test_homes_get_blocks_of_their_own() -> None:
    offsets = {offset_of(Path(f"/home/{name}/stack")) for name in "abcdefgh"}
    assert len(offsets) > 4
    assert all(0 < offset <= 600 and offset % 10 == 0 for offset in offsets)

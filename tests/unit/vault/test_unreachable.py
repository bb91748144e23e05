"""No server: which one, where, soon, and without a secret."""

from __future__ import annotations

import socket
import time
import traceback

import pytest

from nomadflows.model.errors import ServerUnreachable
from nomadflows.vault import Vault


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    token, values = "hunter2", {"password": "swordfish"}
    with pytest.raises(ServerUnreachable) as caught:
        Vault(f"http://127.0.0.1:{port}", token).set_credential("sales", "crm", values)
    shown = "".join(traceback.format_exception(caught.value))
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert caught.value.exit_code == 3
    assert token not in shown
    assert "swordfish" not in shown


def test_a_server_that_says_nothing_ends_with_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        with pytest.raises(ServerUnreachable, match="no answer in time"):
            Vault(f"http://127.0.0.1:{server.getsockname()[1]}", "t", timeout=0.3).version()
        assert time.monotonic() - began < 2

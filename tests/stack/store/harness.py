"""A Consul of these tests' own, so that they may stop, freeze and restart it; and the flow they work on."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from nomadflows.model.names import FlowRef

REF = FlowRef("default", "orders")
DEFINITION = {
    "flow": "orders",
    "kind": "ordinary",
    "steps": [{"id": "tick", "use": "timer:tick"}, {"id": "write", "use": "log:write"}],
}


class OwnConsul:
    """One agent in a folder of its own."""

    def __init__(self, binary: str, folder: Path, *, token: str = "") -> None:
        """`token`: everything is denied to all others."""
        self._binary = binary
        self._token = token
        self._folder = folder
        self._ports = [_free_port() for _ in range(3)]
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._ports[0]}"

    def start(self) -> None:
        http, server, serf = map(str, self._ports)
        acl = (
            f'-hcl=acl {{ enabled = true, default_policy = "deny", tokens {{ initial_management = "{self._token}" }} }}'
        )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary, "agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", f"-data-dir={self._folder}/data",
                    f"-http-port={http}", f"-server-port={server}", f"-serf-lan-port={serf}", "-serf-wan-port=-1",
                    "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-hcl=disable_update_check=true", "-hcl=performance { raft_multiplier = 1 }", "-log-level=warn", *([acl] if self._token else []),
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._answers, 15)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            request = urllib.request.Request(f"{self.address}/v1/kv/tests/ready", data=b"yes", method="PUT")
            request.add_header("X-Consul-Token", self._token)
            with urllib.request.urlopen(request, timeout=1) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait for a condition; answers with how long it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not so within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - began


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

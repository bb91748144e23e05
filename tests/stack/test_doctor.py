"""`nomadflows doctor` on servers that are well, away, or not set up."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from nomadflows.devstack.diagnose import diagnose
from nomadflows.devstack.stack import Stack
from nomadflows.settings import Settings


def doctor(**variables: str) -> tuple[int, list[dict[str, str]], float]:
    begun = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "nomadflows", "doctor", "-o", "json"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return answer.returncode, json.loads(answer.stdout), time.monotonic() - begun


def test_all_is_well_on_the_local_stack(local_stack: Stack) -> None:
    code, findings, _ = doctor()
    # What other tests sent nowhere is no fault of the stack
    assert [one for one in findings if one["level"] != "ok" and one["what"] != "unroutable messages"] == []
    assert code == 0
    assert {one["server"] for one in findings} == {"Consul", "Nomad", "Vault", "RabbitMQ", "Steps"}


def test_a_server_that_never_answers_is_named_within_five_seconds(local_stack: Stack) -> None:
    # Given a port that accepts connections and says nothing
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"

        # When
        code, findings, seconds = doctor(NOMADFLOWS_NOMAD_ADDR=address)

    # Then
    assert code == 3
    away = [one for one in findings if one["level"] == "unreachable"]
    assert [(one["server"], one["what"], one["detail"]) for one in away] == [("Nomad", address, "no answer in time")]
    assert "NOMAD_ADDR" in away[0]["mend"]
    assert seconds < 5


@pytest.mark.parametrize(
    ("change", "server", "what", "mend"),
    [
        ({"vault_token": "s.wrong"}, "Vault", "token", "VAULT_TOKEN"),
        ({"kv_mount": "elsewhere"}, "Vault", "KV store elsewhere/", "vault secrets enable -path=elsewhere -version=2"),
        ({"vault_auth_mount": "jwt-other"}, "Vault", "JWT auth jwt-other/", "vault auth enable -path=jwt-other jwt"),
        ({"step_driver": "qemu"}, "Nomad", "driver qemu", 'plugin "qemu"'),
        ({"step_python": "/bin/false"}, "Steps", "python /bin/false", "NOMADFLOWS_STEP_PYTHON"),
    ],
)
def test_what_is_not_set_up_is_named_with_its_cure(
    stack: Settings, change: dict[str, str], server: str, what: str, mend: str
) -> None:
    findings = diagnose(dataclasses.replace(stack, **change))
    failed = [one for one in findings if one.level == "failed"]
    assert [(one.server, one.what) for one in failed] == [(server, what)]
    assert mend in failed[0].mend


def test_a_wrong_broker_password_is_told_without_the_password(stack: Settings) -> None:
    wrong = stack.amqp_uri.partition("@")[2]
    findings = diagnose(dataclasses.replace(stack, amqp_uri=f"amqp://nomadflows:hunter2@{wrong}"))
    failed = [one for one in findings if one.level == "failed"]
    assert [(one.server, one.what) for one in failed] == [("RabbitMQ", "management API")]
    assert "hunter2" not in repr(findings)

"""Secrets reach the step process, and only the right one's: Nomad's identity, Vault's role, the job's templates."""

from __future__ import annotations

import json

import pytest

from nomadflows.cluster import Nomad
from nomadflows.model.names import FlowRef
from nomadflows.objects.signature import token_of
from nomadflows.vault.client import Vault
from tests.stack.nomad_world import alive, eventually, flow, gone_after, program, step

FLOW = FlowRef("default", "render-secrets")
VERSION = FLOW.version(1)
PASSWORD = 'p"w \\ # ${NOMAD_ALLOC_ID} {{ x }} ü'  # nothing in it may be read as anything


@pytest.fixture(scope="module")
def nomad(stack):
    return Nomad(stack.nomad_addr, stack.nomad_token, stack.nomad_cacert)


@pytest.fixture
def vault(stack):
    vault = Vault(
        stack.vault_addr,
        stack.vault_token,
        mount=stack.kv_mount,
        auth_mount=stack.vault_auth_mount,
        cacert=stack.vault_cacert,
    )
    vault.set_credential(FLOW.workspace, "render-one", {"url": "sqlite:///x", "password": PASSWORD})
    vault.set_credential(FLOW.workspace, "render-two", {"token": "of somebody else"})
    yield vault
    for name in ("render-one", "render-two"):
        vault.delete_credential(FLOW.workspace, name)
    vault.delete_version(VERSION)
    vault.delete_flow(FLOW)


def dump(folder):
    return program(
        folder,
        f"env >{folder}/env.tmp\ncp $NOMADFLOWS_CREDENTIAL_FILE {folder}/credential\nmv {folder}/env.tmp {folder}/env\nexec sleep 600",
    )


def environment(folder):
    text = eventually(lambda: (folder / "env").exists() and (folder / "env").read_text())
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_a_step_gets_its_secrets_and_no_token(stack, nomad, vault, tmp_path):
    # Given
    secret = vault.version_secret(VERSION)
    vault.ensure_role(VERSION, ["render-one"])
    job = nomad.parse(
        flow(
            VERSION,
            stack,
            dump(tmp_path),
            step("one", credential="render-one", secret_env={"URL": "url", "WORD": "password"}),
            count=1,
        )
    )
    # When
    with gone_after(nomad, VERSION):
        nomad.register(job, 0)
        env = environment(tmp_path)
        registered = nomad.job(VERSION.workspace, VERSION.job_id)
    # Then
    assert env["ELASTICIO_API_KEY"] == secret.api_key
    assert env["ELASTICIO_MESSAGE_CRYPTO_PASSWORD"] == secret.crypto_password
    assert env["ELASTICIO_MESSAGE_CRYPTO_IV"] == secret.crypto_iv
    assert env["ELASTICIO_AMQP_URI"] == (
        f"amqp://default.render-secrets.v1:{secret.amqp_password}@127.0.0.1:5672/nomadflows.default?frameMax=131072&heartbeat=30"
    )
    assert json.loads((tmp_path / "credential").read_text()) == {"url": "sqlite:///x", "password": PASSWORD}
    token = env.pop("ELASTICIO_OBJECT_STORAGE_TOKEN")
    assert token == token_of(VERSION.api_user, secret.api_key)
    assert not [name for name in env if "TOKEN" in name]
    assert (env.pop("URL"), env.pop("WORD")) == ("sqlite:///x", PASSWORD)
    assert PASSWORD not in env.values()
    for hidden in ("sqlite:///x", secret.amqp_password, secret.api_key, secret.crypto_password, token):
        assert hidden not in json.dumps(registered.raw)


def test_a_credential_of_another_flow_is_not_read(stack, nomad, vault, tmp_path):
    # Given
    vault.version_secret(VERSION)
    vault.ensure_role(VERSION, ["render-one"])
    job = nomad.parse(flow(VERSION, stack, dump(tmp_path), step("one", credential="render-two"), count=1))
    with gone_after(nomad, VERSION):
        # When
        nomad.register(job, 0)
        # Then
        eventually(lambda: any("Missing: vault.read" in alloc.message for alloc in alive(nomad, VERSION)))
        assert not (tmp_path / "env").exists()


def test_a_step_waits_for_a_secret_and_starts_when_it_comes(stack, nomad, vault, tmp_path):
    # Given
    vault.version_secret(VERSION)
    vault.ensure_role(VERSION, ["render-one"])
    vault.delete_credential(FLOW.workspace, "render-one")
    job = nomad.parse(flow(VERSION, stack, dump(tmp_path), step("one", credential="render-one"), count=1))
    with gone_after(nomad, VERSION):
        nomad.register(job, 0)
        eventually(lambda: any("Missing: vault.read" in alloc.message for alloc in alive(nomad, VERSION)))
        # When
        vault.set_credential(FLOW.workspace, "render-one", {"url": "late"})
        # Then
        environment(tmp_path)
        assert json.loads((tmp_path / "credential").read_text()) == {"url": "late"}


def test_a_restarted_step_reads_a_mended_credential(stack, nomad, vault, tmp_path):
    # Given
    vault.version_secret(VERSION)
    vault.ensure_role(VERSION, ["render-one"])
    script = program(
        tmp_path,
        f"cp $NOMADFLOWS_CREDENTIAL_FILE {tmp_path}/seen\ngrep -q right {tmp_path}/seen || exit 1\nexec sleep 600",
    )
    vault.set_credential(FLOW.workspace, "render-one", {"password": "wrong"})
    job = nomad.parse(flow(VERSION, stack, script, step("one", credential="render-one"), count=1))
    with gone_after(nomad, VERSION):
        nomad.register(job, 0)
        eventually(lambda: any(alloc.restarts for alloc in alive(nomad, VERSION)))
        # When
        vault.set_credential(FLOW.workspace, "render-one", {"password": "right"})
        # Then
        eventually(lambda: "right" in (tmp_path / "seen").read_text(), timeout=40)


def test_another_job_cannot_use_the_role(stack, nomad, vault, tmp_path):
    # Given
    vault.version_secret(VERSION)
    vault.ensure_role(VERSION, ["render-one"])
    stranger = FlowRef("default", "render-stranger").version(1)
    job = nomad.parse(flow(stranger, stack, dump(tmp_path), step("one"), count=1))
    job["TaskGroups"][0]["Tasks"][0]["Vault"]["Role"] = VERSION.vault_role
    with gone_after(nomad, stranger):
        # When
        nomad.register(job, 0)
        # Then
        message = eventually(
            lambda: next((a.message for a in nomad.allocations("default", stranger.job_id) if a.failed), "")
        )
        assert "failed to derive" in message
        assert not (tmp_path / "env").exists()

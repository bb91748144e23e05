"""A version's role: who may log in by it, and what such a login can read."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import hvac.exceptions
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from nomadflows.model.names import VersionRef
from nomadflows.settings import Settings
from nomadflows.vault import Vault

Login = Callable[..., hvac.Client]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def vault(stack: Settings, bare: hvac.Client, key: rsa.RSAPrivateKey, workspace: str) -> Iterator[Vault]:
    """As ever, but with an auth mount that trusts a key of this test in Nomad's place."""
    mount = f"jwt-{workspace}"
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bare.sys.enable_auth_method("jwt", path=mount)
    bare.write_data(
        f"auth/{mount}/config", data={"jwt_validation_pubkeys": [public.decode()], "jwt_supported_algs": ["RS256"]}
    )
    yield Vault(stack.vault_addr, stack.vault_token, mount=stack.kv_mount, auth_mount=mount)
    bare.sys.disable_auth_method(mount)


@pytest.fixture
def login(stack: Settings, vault: Vault, key: rsa.RSAPrivateKey, workspace: str) -> Iterator[Login]:
    """Log in as the process of a job, by the role of a version."""
    sessions: list[requests.Session] = []

    def log_in(version: VersionRef, **changed: Any) -> hvac.Client:
        claims = {
            "aud": "vault.io",
            "iat": int(time.time()),
            "exp": int(time.time()) + 60,
            "sub": "x",
            "nomad_namespace": version.workspace,
            "nomad_job_id": version.job_id,
            "nomad_group": "a",
            **changed,
        }
        sessions.append(requests.Session())
        client = hvac.Client(url=stack.vault_addr, session=sessions[-1])
        client.auth.jwt.jwt_login(role=version.vault_role, jwt=signed(key, claims), path=f"jwt-{workspace}")
        return client

    yield log_in
    for session in sessions:
        session.close()


def signed(key: rsa.RSAPrivateKey, claims: dict[str, Any]) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    text = f"{part(json.dumps({'alg': 'RS256', 'typ': 'JWT'}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture
def other(vault: Vault, version: VersionRef) -> Iterator[VersionRef]:
    """Another flow of the workspace with a credential of its own."""
    made = VersionRef(version.workspace, "invoices", 1)
    for one, credential in ((version, "warehouse-db"), (made, "crm")):
        vault.set_credential(version.workspace, credential, {"password": credential})
        vault.version_secret(one)
        vault.ensure_role(one, [credential])
    yield made
    vault.delete_version(made)
    vault.delete_flow(made.ref)
    for credential in ("warehouse-db", "crm"):
        vault.delete_credential(version.workspace, credential)


def test_a_version_reads_its_own_and_nothing_else(
    login: Login, version: VersionRef, other: VersionRef, stack: Settings
) -> None:
    client = login(version)
    kv = client.secrets.kv.v2

    def read(path: str) -> Any:
        return kv.read_secret_version(path, mount_point=stack.kv_mount, raise_on_deleted_version=True)["data"]["data"]

    workspace = version.workspace
    assert read(f"{workspace}/warehouse-db") == {"password": "warehouse-db"}
    assert set(read(version.secret_path)) == {"amqp_password", "api_key", "crypto_password", "crypto_iv"}
    for path in (
        f"{workspace}/crm",
        other.secret_path,
        version.ref.secret_path,
        version.ref.version(2).secret_path,
        "default/warehouse-db",
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            read(path)
    for act in (
        lambda: kv.list_secrets(workspace, mount_point=stack.kv_mount),
        lambda: kv.create_or_update_secret(f"{workspace}/warehouse-db", secret={"a": "b"}, mount_point=stack.kv_mount),
        lambda: kv.delete_metadata_and_all_versions(f"{workspace}/warehouse-db", mount_point=stack.kv_mount),
        lambda: kv.read_secret_metadata(version.secret_path, mount_point=stack.kv_mount),
        client.sys.list_acl_policies,
        lambda: client.write_data(f"auth/jwt-{workspace}/role/{other.vault_role}", data={}),
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            act()


@pytest.mark.parametrize(
    "changed",
    [
        {"nomad_job_id": "invoices.v1"},
        {"nomad_job_id": "orders.v2"},
        {"nomad_namespace": "default"},
        {"nomad_job_id": None},
        {"aud": "elsewhere"},
        {"iat": 1, "exp": 2},
    ],
)
def test_nobody_else_logs_in_by_its_role(
    changed: dict[str, Any], login: Login, version: VersionRef, other: VersionRef
) -> None:
    with pytest.raises(hvac.exceptions.VaultError):
        login(version, **changed)


def test_the_role_is_written_only_where_it_differs(
    vault: Vault, bare: hvac.Client, version: VersionRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vault.role_differs(version, ["a"])
    vault.ensure_role(version, ["a"])
    assert not vault.role_differs(version, ["a"])
    writes: list[str] = []
    monkeypatch.setattr(vault._client, "write_data", lambda path, **_: writes.append(path))
    monkeypatch.setattr(vault._client.sys, "create_or_update_acl_policy", lambda name, _text: writes.append(name))
    vault.ensure_role(version, ["a"])
    assert writes == []
    vault.ensure_role(version, ["a", "b"])
    assert writes == [version.vault_role], "the policy only"


def test_a_credential_more_can_be_read_by_who_logged_in_before(
    vault: Vault, login: Login, version: VersionRef, other: VersionRef, stack: Settings
) -> None:
    """Policies are looked up at each request: a new policy holds for tokens that are out."""
    client = login(version)
    vault.ensure_role(version, ["crm"])
    kv = client.secrets.kv.v2
    found = kv.read_secret_version(
        f"{version.workspace}/crm", mount_point=stack.kv_mount, raise_on_deleted_version=True
    )
    assert found["data"]["data"] == {"password": "crm"}
    with pytest.raises(hvac.exceptions.Forbidden):
        kv.read_secret_version(
            f"{version.workspace}/warehouse-db", mount_point=stack.kv_mount, raise_on_deleted_version=True
        )

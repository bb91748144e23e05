"""Secrets of flows and versions, credentials of users."""

from __future__ import annotations

import threading

import hvac
import pytest

from nomadflows.model.errors import InputError, NotFound, ServerRefused
from nomadflows.model.names import VersionRef
from nomadflows.settings import Settings
from nomadflows.vault import Vault, VersionSecret


def test_a_versions_secret_is_made_once(vault: Vault, version: VersionRef) -> None:
    assert vault.find_version_secret(version) is None
    made = vault.version_secret(version)
    assert vault.version_secret(version) == made == vault.find_version_secret(version)
    flow = vault.flow_secret(version.ref)
    assert (made.crypto_password, made.crypto_iv) == (flow.crypto_password, flow.crypto_iv)


def test_many_that_make_it_at_once_get_the_same_one(stack: Settings, version: VersionRef, bare: hvac.Client) -> None:
    """Also where an earlier secret was deleted, which changes what the compare-and-set compares with."""
    for _ in range(3):
        assert len(made_at_once(stack, version, 6)) == 1
        bare.secrets.kv.v2.delete_latest_version_of_secret(version.secret_path, mount_point=stack.kv_mount)


def made_at_once(stack: Settings, version: VersionRef, many: int) -> set[VersionSecret]:
    found: list[VersionSecret] = []
    start = threading.Barrier(many)

    def make() -> None:
        own = Vault(stack.vault_addr, stack.vault_token, mount=stack.kv_mount)
        start.wait()
        found.append(own.version_secret(version))

    threads = [threading.Thread(target=make) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == many
    return set(found)


def test_a_secret_somebody_deleted_is_made_anew(
    vault: Vault, version: VersionRef, bare: hvac.Client, stack: Settings
) -> None:
    """Deleted in the UI, a version of the secret remains as metadata: a new one must still be possible."""
    first = vault.version_secret(version)
    bare.secrets.kv.v2.delete_latest_version_of_secret(version.secret_path, mount_point=stack.kv_mount)
    assert vault.find_version_secret(version) is None
    second = vault.version_secret(version)
    assert second.amqp_password != first.amqp_password
    assert second.crypto_password == first.crypto_password
    assert vault.version_secret(version) == second


def test_deleting_a_version_leaves_the_flows_key_and_may_be_repeated(
    vault: Vault, version: VersionRef, bare: hvac.Client
) -> None:
    secret = vault.version_secret(version)
    vault.ensure_role(version, ["crm"])
    for _ in range(2):
        vault.delete_version(version)
        assert vault.find_version_secret(version) is None
        assert version.vault_role not in bare.sys.list_acl_policies()["data"]["keys"]
        assert bare.read(f"auth/jwt-nomad/role/{version.vault_role}") is None
    assert vault.flow_secret(version.ref).crypto_password == secret.crypto_password


def test_credentials_are_replaced_as_a_whole_and_listed_by_name(
    vault: Vault, workspace: str, version: VersionRef
) -> None:
    vault.version_secret(version)  # lies beside them and is none
    assert vault.credential_names(workspace) == []
    vault.set_credential(workspace, "warehouse-db", {"url": "postgresql://…", "password": "one"})
    vault.set_credential(workspace, "crm", {"token": "x"})
    vault.set_credential(workspace, "warehouse-db", {"url": "sqlite://"})
    assert vault.credential_names(workspace) == ["crm", "warehouse-db"]
    assert vault.read_credential(workspace, "warehouse-db") == {"url": "sqlite://"}
    assert vault.read_credential(workspace, "nothing") is None
    vault.delete_credential(workspace, "crm")
    assert vault.credential_names(workspace) == ["warehouse-db"]
    assert not vault.credential_exists(workspace, "crm")
    with pytest.raises(NotFound, match="no credential crm"):
        vault.delete_credential(workspace, "crm")
    vault.delete_credential(workspace, "warehouse-db")


def test_many_that_change_one_credential_at_once_lose_nothing(vault: Vault, stack: Settings, workspace: str) -> None:
    vault.set_credential(workspace, "crm", {"token": "x"})
    start = threading.Barrier(8)

    def change(number: int) -> None:
        own = Vault(stack.vault_addr, stack.vault_token, mount=stack.kv_mount)
        start.wait()
        for turn in range(3):
            added = {f"{number}-{turn}": "y"}
            own.change_credential(workspace, "crm", lambda known, added=added: {**known, **added})

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    added = {f"{number}-{turn}": "y" for number in range(8) for turn in range(3)}
    assert vault.read_credential(workspace, "crm") == {"token": "x", **added}
    assert vault.change_credential(workspace, "nothing", dict) is None
    assert not vault.credential_exists(workspace, "nothing")
    vault.delete_credential(workspace, "crm")


def test_a_question_names_its_credential_and_a_version_none(vault: Vault, version: VersionRef) -> None:
    assert vault.credential_of_call(version) is None
    vault.version_secret(version)
    assert vault.credential_of_call(version) is None
    vault.put_call(version, "{}", "crm")
    assert vault.credential_of_call(version) == "crm"


def test_a_path_is_no_name(vault: Vault, version: VersionRef) -> None:
    vault.version_secret(version)
    with pytest.raises(InputError):
        vault.read_credential(version.workspace, "_versions/orders.v1")
    with pytest.raises(InputError):
        vault.set_credential(version.workspace, "../default/crm", {"a": "b"})


def test_without_permission_it_says_where_and_what_to_do(stack: Settings, workspace: str) -> None:
    with pytest.raises(ServerRefused, match=f"permission denied at {workspace}/crm") as caught:
        Vault(stack.vault_addr, "no-such-token").set_credential(workspace, "crm", {"password": "swordfish"})
    assert caught.value.status == 403
    assert "VAULT_TOKEN" in caught.value.hint
    assert "swordfish" not in str(caught.value)


def test_the_server_tells_its_version_and_a_token_is_renewed(vault: Vault, stack: Settings, bare: hvac.Client) -> None:
    assert vault.version()[0].isdigit()
    assert vault.renew_own_token() is None, "a root token never ends"
    token = bare.auth.token.create(ttl="60s", renewable=True, policies=["default"])["auth"]["client_token"]
    assert 0 < (Vault(stack.vault_addr, token).renew_own_token() or 0) <= 60

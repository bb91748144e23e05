"""What a start-up hook returned: kept for the shutdown hook, and not for who may read Consul."""

import json
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette

from nomadflows.gateway import startup_state
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.model.errors import InputError, NotFound
from nomadflows.store.keys import Keys
from nomadflows.store.transaction import Delete, Set
from tests.unit.gateway.fakes import CRYPTO, REF
from tests.unit.gateway.test_objects import Http


class Consul:
    """A store that keeps one document."""

    def __init__(self):
        self.keys = Keys("nomadflows")
        self.values = {}
        self.client = SimpleNamespace(
            get=lambda key: SimpleNamespace(value=self.values[key]) if key in self.values else None
        )

    def transact(self, changes):
        for change in changes:
            match change:
                case Set():
                    self.values[change.key] = json.dumps(change.value).encode()
                case Delete():
                    self.values.pop(change.key, None)


@pytest.mark.parametrize(
    ("body", "content_type", "state"),
    [
        (b'{"subscription": "hook-secret"}', "application/json; charset=utf-8", {"subscription": "hook-secret"}),
        (b"hook-secret", "application/x-www-form-urlencoded", "hook-secret"),
        (b"", "application/x-www-form-urlencoded", {}),
    ],
)
def test_a_state_comes_back_and_does_not_stand_in_consul(body, content_type, state):
    consul = Consul()
    startup_state.keep(consul, CRYPTO, REF, body, content_type)
    assert startup_state.kept(consul, CRYPTO, REF) == state
    assert not [value for value in consul.values.values() if b"hook-secret" in value or b"subscription" in value]
    startup_state.drop(consul, REF)
    with pytest.raises(NotFound):
        startup_state.kept(consul, CRYPTO, REF)


class Vault:
    """Knows one version; `required`: what was last said of its start-up hook."""

    required: bool | None = None

    def find_version_secret(self, version):
        return SimpleNamespace(api_key="key") if version == REF.version(1) else None

    def flow_secret(self, _ref):
        return SimpleNamespace(crypto_password="password", crypto_iv="0123456789abcdef")

    def require_startup(self, _version, *, required):
        self.required = required


def test_the_hook_is_due_until_its_result_is_kept():
    consul, vault = Consul(), Vault()
    at = Addresses(lambda: vault, "http://testserver")
    api = ComponentApi(lambda: consul, lambda: vault, lambda: None, addresses=at, object_ttl_s=1.0)
    http = Http(Starlette(routes=api.routes))
    path, auth = "/sailor-support/hooks/task/orders/startup/data", (REF.version(1).api_user, "key")
    assert http("GET", path, auth=auth).status_code == 404
    assert http("POST", "/sailor-support/hooks/task/other/startup/data", auth=auth, json={}).status_code == 404
    assert vault.required is None
    assert http("POST", path, auth=auth, json={"id": 1}).status_code == 201
    assert vault.required is False
    assert http("GET", path, auth=auth).json() == {"id": 1}


def test_what_is_no_json_or_too_large_is_refused():
    with pytest.raises(InputError, match="not JSON"):
        startup_state.keep(Consul(), CRYPTO, REF, b"{", "application/json")
    with pytest.raises(InputError, match="is over 262144"):
        startup_state.keep(Consul(), CRYPTO, REF, b"1" * 262_145, "application/json")


def test_the_largest_state_fits_into_consul():
    consul = Consul()
    startup_state.keep(consul, CRYPTO, REF, b'"' + "ä".encode() * 131_071 + b'"', "application/json")
    assert max(map(len, consul.values.values())) < 512 * 1024

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.errors import InputError
from nomadflows.model.names import CREDENTIAL, FlowRef, VersionRef
from nomadflows.vault.policy import checked_credential_path, policy_text, role

VERSION = VersionRef("sales", "orders", 3)

# What a policy may consist of: the language knows globs (* and +) and templates ({{…}}), none of which may occur.
_RULE = re.compile(r'path "nomadflows/data/[a-z0-9-]+/[a-z0-9_./-]+" \{\n  capabilities = \["read"\]\n\}\n')


def test_a_version_reads_its_own_secret_and_its_credentials() -> None:
    assert policy_text(VERSION, ["warehouse-db", "crm", "crm"], "nomadflows") == "".join(
        f'path "nomadflows/data/{path}" {{\n  capabilities = ["read"]\n}}\n'
        for path in ("sales/_versions/orders.v3", "sales/crm", "sales/warehouse-db")
    )


def test_the_text_does_not_depend_on_the_order_of_steps() -> None:
    assert policy_text(VERSION, ["a", "b"], "m") == policy_text(VERSION, ["b", "a"], "m")


@pytest.mark.parametrize(
    "name", ["*", "+", "a*", "_versions/other.v1", "../x", "a/b", 'x" { }', "{{identity.entity.id}}", "", "A", "a\n"]
)
def test_a_name_that_would_widen_the_policy_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        policy_text(VERSION, [name], "nomadflows")
    with pytest.raises(InputError):
        checked_credential_path("sales", name)


@given(st.lists(st.text() | st.from_regex(CREDENTIAL, fullmatch=True), max_size=4))
def test_whatever_the_names_are_only_plain_rules_come_out(names: list[str]) -> None:
    try:
        text = policy_text(VERSION, names, "nomadflows")
    except InputError:
        return
    assert "".join(_RULE.findall(text)) == text
    assert text.count("path ") == len(set(names)) + 1


def test_only_the_versions_job_in_its_namespace_may_use_the_role() -> None:
    made = role(VERSION)
    assert made["bound_claims"] == {"nomad_namespace": "sales", "nomad_job_id": ["orders.v3", "orders.v3.shutdown"]}
    assert made["bound_audiences"] == ["vault.io"]
    assert made["token_policies"] == ["nomadflows.sales.orders.v3"]
    assert made["token_type"] == "service"
    json.dumps(made)


def test_secrets_of_flows_and_credentials_cannot_share_a_path() -> None:
    """Both lie in the workspace's folder; a credential's name cannot begin with an underscore."""
    assert FlowRef("sales", "orders").secret_path.split("/")[1].startswith("_")
    assert not CREDENTIAL.fullmatch("_flows")

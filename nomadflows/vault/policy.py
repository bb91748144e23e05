"""What a flow version may read, as Vault's policy language and a role of its JWT auth. Pure text and data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from nomadflows.model.errors import InputError
from nomadflows.model.names import CREDENTIAL, CREDENTIAL_RULE, WORKSPACE, VersionRef, credential_path

Json = dict[str, Any]

AUDIENCE: Final = "vault.io"


def checked_credential_path(workspace: str, credential: str) -> str:
    """Where a credential lies. InputError for a name that means something in a path or a glob: `*` would be all
    credentials, `_versions/…` the secrets of flows."""
    if not CREDENTIAL.fullmatch(credential) or not WORKSPACE.fullmatch(workspace):
        raise InputError(
            f"not the name of a credential: {workspace}/{credential}",
            hint=CREDENTIAL_RULE,
        )
    return credential_path(workspace, credential)


def readable_paths(version: VersionRef, credentials: Iterable[str], mount: str) -> list[str]:
    """Exactly these: the version's own secret, and the credentials its steps name."""
    paths = [
        version.secret_path,
        *(checked_credential_path(version.workspace, name) for name in sorted(set(credentials))),
    ]
    return [f"{mount}/data/{path}" for path in paths]


def policy_text(version: VersionRef, credentials: Iterable[str], mount: str) -> str:
    """Policy of a version. Names hold no character that the language or a glob would interpret."""
    return "".join(
        f'path {json.dumps(path)} {{\n  capabilities = ["read"]\n}}\n'
        for path in readable_paths(version, credentials, mount)
    )


def role(version: VersionRef) -> Json:
    """Only this Nomad job, and the one of its shutdown hook, in this namespace, may log in by it. The token is for one read at a process's start;
    Nomad renews it as long as the process lives."""
    return {
        "role_type": "jwt",
        "bound_audiences": [AUDIENCE],
        "user_claim": "nomad_job_id",
        "bound_claims": {"nomad_namespace": version.workspace, "nomad_job_id": [version.job_id, version.shutdown_job]},
        "claim_mappings": {
            "nomad_namespace": "nomad_namespace",
            "nomad_job_id": "nomad_job_id",
            "nomad_group": "nomad_group",
        },
        "token_type": "service",
        "token_policies": [version.vault_role],
        "token_period": 3600,
        "token_no_default_policy": False,  # it lets the token look itself up and renew itself, which Nomad does
    }

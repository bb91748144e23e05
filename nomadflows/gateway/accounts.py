"""Credentials as components see them: members of the configuration, `accounts` (updateKeys) and `secrets`.

A version reaches the credentials its own steps name, in its own workspace, and no other: what its Vault policy
allows its processes, this API allows too, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from nomadflows.model.errors import InputError, NotFound
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.vault.client import Vault

Json = dict[str, Any]

# Node's library reads its configuration from the API alone. A Python step has the credential in a file that
# Nomad's client rendered for it, so its credential never passes through here.
CREDENTIAL_BY_API: Final = frozenset({"node", "image"})


class Accounts:
    """Reads Vault at every request: a credential is not kept in this process's memory."""

    def __init__(self, vault: Callable[[], Vault]) -> None:
        self._vault = vault

    def config_of(self, version: VersionRef, step: RunStep, language: str) -> Json:
        """The step's configuration, with the members of its credential for languages that read no file.

        NotFound if the credential is missing: a step without its credential must not start half configured.
        """
        if not step.credential:
            return step.config
        named = {"_account": step.credential, "secretId": step.credential}
        if language not in CREDENTIAL_BY_API:
            return {**step.config, "_account": step.credential}
        return {**step.config, **self._read(version, step.credential), **named}

    def update(self, version: VersionRef, steps: Iterable[RunStep], name: str, keys: Json) -> None:
        """What a component emitted as `updateKeys` replaces those members of its credential; others stay."""
        self._allow(steps, name)
        known = self._read(version, name)
        self._vault().set_credential(version.workspace, name, {**known, **keys})

    def secret(self, version: VersionRef, steps: Iterable[RunStep], name: str) -> Json:
        """A credential in the form of the `secrets` resource, as Vault has it now."""
        self._allow(steps, name)
        values = self._read(version, name)
        attributes = {"name": name, "type": values.get("type", "api_key"), "credentials": values}
        return {"data": {"id": name, "type": "secret", "attributes": attributes}}

    @staticmethod
    def _allow(steps: Iterable[RunStep], name: str) -> None:
        """The same answer for what is not there and for what is not theirs."""
        if name not in {step.credential for step in steps if step.credential}:
            raise NotFound(f"no step of this version uses a credential {name}")

    def _read(self, version: VersionRef, name: str) -> Json:
        found = self._vault().read_credential(version.workspace, name)
        if found is None:
            raise NotFound(f"there is no credential {name} in workspace {version.workspace}")
        return found


def keys_of(body: Any) -> Json:
    """The `keys` of an account's update."""
    keys = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(keys, dict):
        raise InputError('expected {"keys": {…}}')
    return keys

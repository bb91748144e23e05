"""Credentials as components see them: members of the configuration, `accounts` (updateKeys) and `secrets`.

A version reaches the credentials its own steps name, in its own workspace, and no other: what its Vault policy
allows its processes, this API allows too, and no more. A question reaches the one it is asked with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from nomadflows.gateway import oauth2
from nomadflows.gateway.oauth2 import TokenRequest
from nomadflows.model.component import CREDENTIAL_BY_FILE
from nomadflows.model.errors import InputError, NotFound
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.vault.client import Vault

Json = dict[str, Any]

_TURN_S: Final = 1.5 * oauth2.LIMIT_S


class Accounts:
    """Reads Vault at every request: a credential is not kept in this process's memory. Thread-safe."""

    def __init__(self, vault: Callable[[], Vault]) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, str], threading.Lock] = {}

    def config_of(self, version: VersionRef, step: RunStep, language: str) -> Json:
        """The step's configuration, with the members of its credential for languages that read no file.

        NotFound if the credential is missing: a step without its credential must not start half configured.
        """
        if not step.credential:
            return step.config
        if language in CREDENTIAL_BY_FILE:
            return {**step.config, "_account": step.credential}
        named = {"_account": step.credential, "secretId": step.credential}
        return {**step.config, **self._read(version, step.credential), **named}

    def of_question(self, version: VersionRef) -> Collection[str] | None:
        """The credential with which a question is asked; None for what is no question."""
        name = self._vault().credential_of_call(version)
        return None if name is None else {name}

    def update(self, version: VersionRef, allowed: Collection[str], name: str, keys: Json) -> None:
        """What a component emitted as `updateKeys` replaces those members of its credential; others stay."""
        _allow(allowed, name)
        self._change(version, name, keys)

    def secret(self, version: VersionRef, allowed: Collection[str], name: str) -> Json:
        """A credential in the form of the `secrets` resource, as Vault has it now."""
        _allow(allowed, name)
        return _resource(name, self._read(version, name))

    def refresh(self, version: VersionRef, allowed: Collection[str], name: str) -> Json:
        """The same with a new access token, if it is one of OAuth 2; others have nothing that could be renewed."""
        _allow(allowed, name)
        known = self._read(version, name)
        return _resource(name, self._renewed(version, name, known) if known.get("type") == oauth2.TYPE else known)

    def _renewed(self, version: VersionRef, name: str, known: Json) -> Json:
        """Many servers take a refresh token once: whoever asks while it is used gets what the first one got."""
        with self._lock:
            turn = self._turns.setdefault((version.workspace, name), threading.Lock())
        if not turn.acquire(timeout=_TURN_S):
            raise InputError(f"credential {name} is being renewed, and its token server takes its time")
        try:
            now = self._read(version, name)
            if now.get("access_token") != known.get("access_token"):
                return now
            try:
                fresh = oauth2.renewed(name, TokenRequest.of(name, now))
            except InputError:
                after = self._read(
                    version, name
                )  # another gateway, or a component by updateKeys, may have been quicker
                if after.get("access_token") != now.get("access_token"):
                    return after
                raise
            return self._change(version, name, fresh)
        finally:
            turn.release()

    def _change(self, version: VersionRef, name: str, keys: Json) -> Json:
        changed = self._vault().change_credential(version.workspace, name, lambda known: {**known, **keys})
        return _found(version, name, changed)

    def _read(self, version: VersionRef, name: str) -> Json:
        return _found(version, name, self._vault().read_credential(version.workspace, name))


def keys_of(body: Any) -> Json:
    """The `keys` of an account's update."""
    keys = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(keys, dict):
        raise InputError('expected {"keys": {…}}')
    return keys


def _allow(allowed: Collection[str], name: str) -> None:
    """The same answer for what is not there and for what is not theirs."""
    if name not in allowed:
        raise NotFound(f"no step of this version uses a credential {name}")


def _found(version: VersionRef, name: str, values: Json | None) -> Json:
    if values is None:
        raise NotFound(f"there is no credential {name} in workspace {version.workspace}")
    return values


def _resource(name: str, values: Json) -> Json:
    attributes = {"name": name, "type": values.get("type", "api_key"), "credentials": values}
    return {"data": {"id": name, "type": "secret", "attributes": attributes}}

"""Consul's keys and Vault's credentials in memory, as far as the component API uses them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.store.consul_client import Entry, OpError, RolledBack

Json = dict[str, Any]


class MemoryConsul:
    """Takes the place of a store's client. A transaction happens as a whole or not at all."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._index = 0

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        return [self.entries.get(key, Entry(key, b"", 0)) for key in keys]

    def below(self, prefix: str) -> list[Entry]:
        return [entry for key, entry in sorted(self.entries.items()) if key.startswith(prefix)]

    def names(self, prefix: str) -> list[str]:
        return [entry.key for entry in self.below(prefix)]

    def transact(self, operations: Sequence[Json]) -> list[Entry]:
        found = [operation["KV"] for operation in operations]
        failed = tuple(OpError(number, "no") for number, kv in enumerate(found) if not self._may(kv))
        if failed:
            raise RolledBack(failed)
        return [self._done(kv) for kv in found]

    def _may(self, kv: Json) -> bool:
        index = self.entries[kv["Key"]].index if kv["Key"] in self.entries else 0
        return {"get": index > 0, "cas": kv.get("Index") == index}.get(kv["Verb"], True)

    def _done(self, kv: Json) -> Entry:
        key = kv["Key"]
        if kv["Verb"] in {"set", "cas"}:
            self._index += 1
            self.entries[key] = Entry(key, base64.b64decode(kv["Value"]), self._index)
        elif kv["Verb"] == "delete":
            return self.entries.pop(key, Entry(key, b"", 0))
        return self.entries[key]


class MemoryVault:
    """`keys`: of versions and questions. `on_change` is called in the middle of a change, before it is checked."""

    def __init__(self) -> None:
        self.keys: dict[VersionRef, str] = {}
        self.calls: dict[VersionRef, str] = {}  # question → the credential it is asked with
        self.credentials: dict[str, Json] = {}
        self.due: set[VersionRef] = set()  # versions whose start-up hook is to be run
        self.on_read: Callable[[], None] = lambda: None

    def find_version_secret(self, version: VersionRef) -> SimpleNamespace | None:
        return SimpleNamespace(api_key=self.keys[version]) if version in self.keys else None

    def flow_secret(self, _ref: FlowRef) -> SimpleNamespace:
        return SimpleNamespace(crypto_password="password", crypto_iv="0123456789abcdef")

    def require_startup(self, version: VersionRef, *, required: bool) -> None:
        (self.due.add if required else self.due.discard)(version)

    def credential_of_call(self, version: VersionRef) -> str | None:
        return self.calls.get(version)

    def read_credential(self, _workspace: str, name: str) -> Json | None:
        found = self.credentials.get(name)
        self.on_read()
        return found

    def change_credential(self, _workspace: str, name: str, change: Callable[[Json], Json]) -> Json | None:
        if name not in self.credentials:
            return None
        self.credentials[name] = change(self.credentials[name])
        return self.credentials[name]

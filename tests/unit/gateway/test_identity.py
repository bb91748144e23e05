"""Who a step process is, and when what is known of its version is read anew."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest

from nomadflows.gateway import identity
from nomadflows.gateway.identity import Identity
from nomadflows.model.names import VersionRef

VERSION = VersionRef("default", "orders", 1)


class Vault:
    key = "one"

    def find_version_secret(self, _version: VersionRef) -> SimpleNamespace | None:
        return SimpleNamespace(api_key=self.key) if self.key else None


def header(key: str) -> str:
    return "Basic " + base64.b64encode(f"{VERSION.api_user}:{key}".encode()).decode()


def test_a_version_with_a_new_key_is_told_since_it_may_be_of_another_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a version that is known by its key
    vault, renewed = Vault(), list[VersionRef]()
    known = Identity(lambda: vault, renewed.append)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(identity, "_LOOK_AGAIN_S", 0.0)
    assert known.of(header("one")) == VERSION
    assert known.of(header("one")) == VERSION
    assert renewed == []
    # When a process comes with a key that Vault made since
    vault.key = "two"
    # Then it is let in, and told
    assert known.of(header("two")) == VERSION
    assert renewed == [VERSION]
    # And the old key proves nothing any more
    assert known.of(header("one")) is None


def test_a_wrong_key_renews_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = list[VersionRef]()
    known = Identity(Vault, renewed.append)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(identity, "_LOOK_AGAIN_S", 0.0)
    assert known.of(header("one")) == VERSION
    assert known.of(header("guess")) is None
    assert renewed == []

"""Vault, or OpenBao: credentials of users, secrets of flow versions, and the roles by which steps read them."""

from nomadflows.vault.client import Vault
from nomadflows.vault.secrets import FlowSecret, VersionSecret

__all__ = ["FlowSecret", "Vault", "VersionSecret"]

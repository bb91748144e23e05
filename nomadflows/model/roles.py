"""Who may do what in a workspace: three roles, one table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    OWNER = "owner"
    INTEGRATOR = "integrator"
    GUEST = "guest"


class Right(StrEnum):
    """What an operation needs, in the words of a refusal: `may not …`."""

    READ = "read"
    EDIT_FLOWS = "change flows"  # drafts, versions, snapshots, delete and restore
    RUN_FLOWS = "start and stop flows"  # and suspend, resume, run now
    DELETE_FOR_GOOD = "delete flows for good"
    EDIT_CREDENTIALS = "set and delete credentials"
    EDIT_MEMBERS = "change members"
    EDIT_WORKSPACE = "change or delete the workspace"


_INTEGRATOR: Final = frozenset({Right.READ, Right.EDIT_FLOWS, Right.RUN_FLOWS, Right.EDIT_CREDENTIALS})

RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.GUEST: frozenset({Right.READ}),
    Role.INTEGRATOR: _INTEGRATOR,
    Role.OWNER: _INTEGRATOR | {Right.DELETE_FOR_GOOD, Right.EDIT_MEMBERS, Right.EDIT_WORKSPACE},
}


def may(role: Role | None, right: Right) -> bool:
    """None: no member of the workspace."""
    return role is not None and right in RIGHTS[role]


def may_create_workspaces(roles: Mapping[str, Role]) -> bool:
    """`roles`: workspace → role of one user. A workspace runs code on the shared nodes, so it takes somebody who is
    trusted with one already."""
    return Role.OWNER in roles.values()

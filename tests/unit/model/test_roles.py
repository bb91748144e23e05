"""Which role may do what: the whole table."""

from __future__ import annotations

import pytest

from nomadflows.model.roles import Right, Role, may, may_create_workspaces

TABLE = """
                                owner  integrator  guest  nobody
read                            yes    yes         yes    -
change flows                    yes    yes         -      -
start and stop flows            yes    yes         -      -
delete flows for good           yes    -           -      -
set and delete credentials      yes    yes         -      -
change members                  yes    -           -      -
change or delete the workspace  yes    -           -      -
"""


def rows() -> list[tuple[Right, Role | None, bool]]:
    header, *lines = TABLE.strip("\n").splitlines()
    roles = [None if name == "nobody" else Role(name) for name in header.split()]
    found = []
    for line in lines:
        *words, owner, integrator, guest, nobody = line.split()
        answers = (owner, integrator, guest, nobody)
        found += [(Right(" ".join(words)), role, answer == "yes") for role, answer in zip(roles, answers, strict=True)]
    return found


@pytest.mark.parametrize(("right", "role", "allowed"), rows())
def test_what_a_role_may(right: Right, role: Role | None, allowed: bool) -> None:
    assert may(role, right) is allowed


def test_the_table_names_every_right() -> None:
    assert {right for right, _, _ in rows()} == set(Right)


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [({}, False), ({"a": Role.GUEST, "b": Role.INTEGRATOR}, False), ({"a": Role.GUEST, "b": Role.OWNER}, True)],
)
def test_owners_may_create_workspaces(roles: dict[str, Role], allowed: bool) -> None:
    assert may_create_workspaces(roles) is allowed

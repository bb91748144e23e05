"""Workspaces, their members, and who one is oneself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from nomadflows.gateway.rest.operation import PREFIX, Call, Operation
from nomadflows.gateway.rest.problems import Forbidden, same_id
from nomadflows.gateway.rest.shapes import All, Links, Many, One, Order, Paged, Shape, page_of
from nomadflows.model.errors import Refused
from nomadflows.model.names import vhost
from nomadflows.model.roles import Right, Role, may_create_workspaces
from nomadflows.model.states import WorkspaceType
from nomadflows.model.users import User
from nomadflows.store import users, workspaces

Json = dict[str, Any]

WORKSPACES: Final = f"{PREFIX}/workspaces"
WORKSPACE: Final = f"{WORKSPACES}/{{workspace}}"
MEMBERS: Final = f"{WORKSPACE}/members"
KEYS: Final = f"{PREFIX}/users/me/keys"
MEMBER: Final = f"{MEMBERS}/{{user}}"


class Limit(Shape):
    """`source`: who says so: workspace, installation, or `built in`."""

    limit: int
    source: str


class QueueLimits(Shape):
    messages: Limit
    bytes: Limit


class WorkspaceAttributes(Shape):
    """`role` is one's own."""

    name: str
    type: WorkspaceType
    role: Role
    queues: QueueLimits


class Workspace(Shape):
    id: str
    type: Literal["workspace"]
    links: Links
    attributes: WorkspaceAttributes


class NewWorkspaceAttributes(Shape):
    name: str
    type: WorkspaceType = WorkspaceType.FULL


class NewWorkspaceData(Shape):
    type: Literal["workspace"]
    attributes: NewWorkspaceAttributes


class NewWorkspace(Shape):
    data: NewWorkspaceData


class AskedLimits(Shape):
    """Of versions published from now on. Null: what the installation says."""

    messages: Annotated[int | None, Field(ge=1, le=10**9)] = None
    bytes: Annotated[int | None, Field(ge=1, le=10**15)] = None


class ChangedWorkspaceAttributes(Shape):
    type: WorkspaceType | None = None
    queues: AskedLimits = AskedLimits()


class ChangedWorkspaceData(Shape):
    type: Literal["workspace"]
    id: str
    attributes: ChangedWorkspaceAttributes


class ChangedWorkspace(Shape):
    data: ChangedWorkspaceData


class MemberAttributes(Shape):
    role: Role


class Member(Shape):
    """`id` is the user's name."""

    id: str
    type: Literal["member"]
    attributes: MemberAttributes


class WrittenMember(Shape):
    data: Member


class KeyAttributes(Shape):
    id: str
    created_at: str
    note: str


class UserAttributes(Shape):
    """`roles`: in each workspace. Of keys all but the keys."""

    name: str
    roles: dict[str, Role]
    keys: list[KeyAttributes]


class UserResource(Shape):
    id: str
    type: Literal["user"]
    attributes: UserAttributes


class NewKeyAttributes(Shape):
    note: Annotated[str, Field(max_length=users.LONGEST_NOTE, description="What it is for.")] = ""


class ListedKeyAttributes(Shape):
    created_at: str
    note: str


class Key(Shape):
    id: str
    type: Literal["key"]
    links: Links
    attributes: ListedKeyAttributes


class CreatedKeyAttributes(ListedKeyAttributes):
    """`key` is what HTTP Basic takes for a password. It is shown this once."""

    key: Annotated[str, Field(repr=False)]


class CreatedKey(Shape):
    id: str
    type: Literal["key"]
    links: Links
    attributes: CreatedKeyAttributes


class WorkspaceQuery(Paged):
    """A page of workspaces, or of members."""


def list_workspaces(call: Call) -> Many[Workspace]:
    found, meta = page_of(sorted(call.user.roles), call.query)
    return Many(data=[_workspace(call, name, call.user) for name in found], meta=meta)


def get_workspace(call: Call) -> One[Workspace]:
    return One(data=_workspace(call, call.workspace, call.user))


def create_workspace(call: Call) -> One[Workspace]:
    """Its owner is who made it. Nobody becomes owner of one that others have already."""
    if not may_create_workspaces(call.user.roles):
        raise Forbidden(f"{call.by} owns no workspace: may not create one")
    asked: NewWorkspaceAttributes = call.body.data.attributes
    workspaces.check_name(asked.name)
    if call.store.flow_refs(asked.name) or users.members(call.store, asked.name):
        raise Refused(f"workspace {asked.name} exists already")
    workspaces.create(call.store, asked.name, asked.type)
    return One(data=_workspace(call, asked.name, users.set_role(call.store, call.by, asked.name, Role.OWNER)))


def change_workspace(call: Call) -> One[Workspace]:
    same_id(call.body.data.id, call.workspace)
    asked: ChangedWorkspaceAttributes = call.body.data.attributes
    limits: Json = asked.queues.model_dump(exclude_unset=True)
    workspaces.change(call.store, call.workspace, type_=asked.type, limits=limits)
    return get_workspace(call)


def delete_workspace(call: Call) -> None:
    """Its credentials and its vhost go too. Its namespace in Nomad stays, empty."""
    workspaces.check_empty(call.store, call.workspace)
    for name in call.vault.credential_names(call.workspace):
        call.vault.delete_credential(call.workspace, name)
    call.broker.management.delete_vhost(vhost(call.workspace))
    workspaces.remove(call.store, call.workspace, by=call.by)


def _workspace(call: Call, name: str, user: User) -> Workspace:
    found = workspaces.described(call.store, name)
    queues = {key: Limit(limit=one["limit"], source=one["from"]) for key, one in found["queues"].items()}
    return Workspace(
        id=name,
        type="workspace",
        links=Links(self=f"{WORKSPACES}/{name}"),
        attributes=WorkspaceAttributes(
            name=name, type=WorkspaceType(found["type"]), role=user.roles[name], queues=QueueLimits(**queues)
        ),
    )


def list_members(call: Call) -> Many[Member]:
    found, meta = page_of(users.members(call.store, call.workspace), call.query)
    return Many(data=[_member(call, user) for user in found], meta=meta)


def add_member(call: Call) -> One[Member]:
    data: Member = call.body.data
    known = users.find(call.store, data.id)
    if known is not None and call.workspace in known.value.roles:
        raise Refused(f"{data.id} is a member of workspace {call.workspace} already")
    return One(data=_member(call, users.set_role(call.store, data.id, call.workspace, data.attributes.role)))


def change_member(call: Call) -> One[Member]:
    data: Member = call.body.data
    same_id(data.id, call.path["user"])
    users.existing_member(call.store, data.id, call.workspace)
    return One(data=_member(call, users.set_role(call.store, data.id, call.workspace, data.attributes.role)))


def remove_member(call: Call) -> None:
    users.remove_role(call.store, call.path["user"], call.workspace)


def _member(call: Call, user: User) -> Member:
    return Member(id=user.name, type="member", attributes=MemberAttributes(role=user.roles[call.workspace]))


def get_me(call: Call) -> One[UserResource]:
    keys = [KeyAttributes(id=key_id, created_at=key.at, note=key.note) for key_id, key in call.user.keys.items()]
    attributes = UserAttributes(name=call.by, roles=dict(call.user.roles), keys=keys)
    return One(data=UserResource(id=call.by, type="user", attributes=attributes))


def list_keys(call: Call) -> All[Key]:
    return All(data=[_key(call, key_id) for key_id in call.user.keys])


def create_key(call: Call) -> One[CreatedKey]:
    key_id, key = users.create_key(call.store, call.by, by=call.by, note=call.body.data.attributes.note)
    kept = users.existing(call.store, call.by).value.keys[key_id]
    attributes = CreatedKeyAttributes(created_at=kept.at, note=kept.note, key=key)
    return One(data=CreatedKey(id=key_id, type="key", links=_key_links(key_id), attributes=attributes))


def revoke_key(call: Call) -> None:
    users.revoke_key(call.store, call.by, call.path["key"])


def _key(call: Call, key_id: str) -> Key:
    kept = call.user.keys[key_id]
    attributes = ListedKeyAttributes(created_at=kept.at, note=kept.note)
    return Key(id=key_id, type="key", links=_key_links(key_id), attributes=attributes)


def _key_links(key_id: str) -> Links:
    return Links(self=f"{KEYS}/{key_id}")


# fmt: off
OPERATIONS: Final = (
    Operation("GET", WORKSPACES, "list_workspaces", "The workspaces one is a member of", list_workspaces, None, Many[Workspace], query=WorkspaceQuery),
    Operation("POST", WORKSPACES, "create_workspace", "A new workspace; for owners of one", create_workspace, None, One[Workspace], HTTPStatus.CREATED, takes=NewWorkspace),
    Operation("GET", WORKSPACE, "get_workspace", "One workspace", get_workspace, Right.READ, One[Workspace]),
    Operation("PATCH", WORKSPACE, "change_workspace", "Its type, or how much queues hold", change_workspace, Right.EDIT_WORKSPACE, One[Workspace], takes=ChangedWorkspace),
    Operation("DELETE", WORKSPACE, "delete_workspace", "Delete a workspace without flows, with its credentials", delete_workspace, Right.EDIT_WORKSPACE, None, HTTPStatus.NO_CONTENT),
    Operation("GET", MEMBERS, "list_members", "Its members", list_members, Right.READ, Many[Member], query=WorkspaceQuery),
    Operation("POST", MEMBERS, "add_member", "A new member", add_member, Right.EDIT_MEMBERS, One[Member], HTTPStatus.CREATED, takes=WrittenMember),
    Operation("PATCH", MEMBER, "change_member", "Another role for a member", change_member, Right.EDIT_MEMBERS, One[Member], takes=WrittenMember),
    Operation("DELETE", MEMBER, "remove_member", "A member no more", remove_member, Right.EDIT_MEMBERS, None, HTTPStatus.NO_CONTENT),
    Operation("GET", KEYS, "list_keys", "One's own keys, without the keys", list_keys, None, All[Key]),
    Operation("POST", KEYS, "create_key", "A new key of one's own, shown this once", create_key, None, One[CreatedKey], HTTPStatus.CREATED, takes=Order[NewKeyAttributes]),
    Operation("DELETE", f"{KEYS}/{{key}}", "revoke_key", "End a key of one's own", revoke_key, None, None, HTTPStatus.NO_CONTENT),
    Operation("GET", f"{PREFIX}/users/me", "get_me", "Oneself: roles and keys", get_me, None, One[UserResource]),
)
# fmt: on

"""Credentials: their names and the names of what they hold. A value goes in and never comes out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import Field

from nomadflows.gateway.rest.operation import PREFIX, Call, Operation
from nomadflows.gateway.rest.problems import same_id
from nomadflows.gateway.rest.shapes import Links, ListQuery, Many, OfWorkspace, One, Shape, in_workspace, page_of
from nomadflows.model.errors import NotFound, Refused
from nomadflows.model.names import CREDENTIAL
from nomadflows.model.roles import Right
from nomadflows.store.credential_use import check_unused

CREDENTIALS: Final = f"{PREFIX}/credentials"
CREDENTIAL_PATH: Final = f"{CREDENTIALS}/{{credential}}"

Keys = Annotated[dict[str, str], Field(min_length=1, description="Replaced as a whole. Never shown again.", repr=False)]


class CredentialAttributes(Shape):
    """`keys`: the names of what it holds; null in a list."""

    name: str
    keys: list[str] | None


class Credential(Shape):
    id: str
    type: Literal["credential"]
    links: Links
    attributes: CredentialAttributes
    relationships: OfWorkspace


class NewCredentialAttributes(Shape):
    name: str
    keys: Keys


class NewCredentialData(Shape):
    type: Literal["credential"]
    attributes: NewCredentialAttributes
    relationships: OfWorkspace


class NewCredential(Shape):
    data: NewCredentialData


class ChangedCredentialAttributes(Shape):
    keys: Keys


class ChangedCredentialData(Shape):
    type: Literal["credential"]
    id: str
    attributes: ChangedCredentialAttributes


class ChangedCredential(Shape):
    data: ChangedCredentialData


class CredentialQuery(ListQuery):
    """A page of the credentials of a workspace."""


def list_credentials(call: Call) -> Many[Credential]:
    found, meta = page_of(call.vault.credential_names(call.workspace), call.query)
    return Many(data=[_credential(call, name, None) for name in found], meta=meta)


def get_credential(call: Call) -> One[Credential]:
    name = _name(call)
    return One(data=_credential(call, name, sorted(_known(call, name))))


def create_credential(call: Call) -> One[Credential]:
    attributes: NewCredentialAttributes = call.body.data.attributes
    if call.vault.credential_exists(call.workspace, attributes.name):
        raise Refused(f"workspace {call.workspace} has a credential {attributes.name} already")
    call.vault.set_credential(call.workspace, attributes.name, attributes.keys)
    return One(data=_credential(call, attributes.name, sorted(attributes.keys)))


def change_credential(call: Call) -> One[Credential]:
    same_id(call.body.data.id, call.path["credential"])
    name, keys = _name(call), call.body.data.attributes.keys
    _known(call, name)
    call.vault.set_credential(call.workspace, name, keys)
    return One(data=_credential(call, name, sorted(keys)))


def delete_credential(call: Call) -> None:
    name = _name(call)
    check_unused(call.store, call.workspace, name)
    call.vault.delete_credential(call.workspace, name)


def _name(call: Call) -> str:
    name = call.path["credential"].partition(".")[2]
    if not CREDENTIAL.fullmatch(name):
        raise NotFound(f"there is no credential {call.path['credential']!r}")
    return name


def _known(call: Call, name: str) -> list[str]:
    """The names of what it holds."""
    found = call.vault.read_credential(call.workspace, name)
    if found is None:
        raise NotFound(f"there is no credential {call.path['credential']!r}")
    return list(found)


def _credential(call: Call, name: str, keys: list[str] | None) -> Credential:
    made = f"{call.workspace}.{name}"
    return Credential(
        id=made,
        type="credential",
        links=Links(self=f"{CREDENTIALS}/{made}"),
        attributes=CredentialAttributes(name=name, keys=keys),
        relationships=in_workspace(call.workspace),
    )


# fmt: off
OPERATIONS: Final = (
    Operation("GET", CREDENTIALS, "list_credentials", "Credentials of a workspace, by name", list_credentials, Right.READ, Many[Credential], query=CredentialQuery),
    Operation("POST", CREDENTIALS, "create_credential", "A new credential", create_credential, Right.EDIT_CREDENTIALS, One[Credential], HTTPStatus.CREATED, takes=NewCredential),
    Operation("GET", CREDENTIAL_PATH, "get_credential", "What a credential holds, without the values", get_credential, Right.READ, One[Credential]),
    Operation("PATCH", CREDENTIAL_PATH, "change_credential", "Other keys for a credential, as a whole", change_credential, Right.EDIT_CREDENTIALS, One[Credential], takes=ChangedCredential),
    Operation("DELETE", CREDENTIAL_PATH, "delete_credential", "Delete a credential that no flow needs", delete_credential, Right.EDIT_CREDENTIALS, None, HTTPStatus.NO_CONTENT),
)
# fmt: on

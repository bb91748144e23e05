"""Drafts and versions: shown, written, thrown away, published, gone back to."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from nomadflows.gateway.rest.definition import Definition, checked
from nomadflows.gateway.rest.flows import FLOW
from nomadflows.gateway.rest.operation import PREFIX, Call, Operation, flow_id
from nomadflows.gateway.rest.problems import same_id
from nomadflows.gateway.rest.shapes import Links, Many, One, Order, Paged, Shape, page_of
from nomadflows.model.errors import NotFound
from nomadflows.model.roles import Right
from nomadflows.store import requests

Json = dict[str, Any]

DRAFT: Final = f"{FLOW}/draft"
VERSIONS: Final = f"{FLOW}/versions"


class DraftAttributes(Shape):
    definition: Json
    author: str
    at: str
    based_on: Annotated[int, Field(description="The newest version when it was written; 0: none.")]


class Draft(Shape):
    id: str
    type: Literal["flow-draft"]
    links: Links
    attributes: DraftAttributes


class WrittenDraftAttributes(Shape):
    definition: Definition


class WrittenDraftData(Shape):
    type: Literal["flow-draft"]
    id: str
    attributes: WrittenDraftAttributes


class WrittenDraft(Shape):
    data: WrittenDraftData


class VersionAttributes(Shape):
    """`definition` is shown with one version, not in a list."""

    number: int
    author: str
    created_at: str
    note: str
    digest: str
    active: bool
    definition: Json | None


class Version(Shape):
    id: str
    type: Literal["flow-version"]
    links: Links
    attributes: VersionAttributes


class VersionQuery(Paged):
    """A page of the versions of a flow."""


class Publish(Shape):
    """`strategy`: of an active flow the old version ends first, or when the new one is ready."""

    strategy: Literal["replace", "handover"] = "replace"
    note: Annotated[str, Field(max_length=1000, description="What changed; kept with the version.")] = ""
    force: Annotated[bool, Field(description="Although it is the same as the newest version.")] = False
    ready_timeout: Annotated[
        float | None, Field(ge=1, le=1800, description="Seconds it may take to come up; null: as it says itself.")
    ] = None


def get_draft(call: Call) -> One[Draft]:
    requests.existing(call.store, call.ref)
    found = call.store.draft(call.ref)
    if found is None:
        raise NotFound(f"flow {call.ref} has no draft")
    return One(data=_draft(call, found.value))


def put_draft(call: Call) -> One[Draft]:
    """What is published already needs no draft: the answer shows it, and there is none afterwards."""
    same_id(call.body.data.id, flow_id(call.ref))
    record = requests.existing(call.store, call.ref)
    definition = checked(call.store, call.body.data.attributes.definition, call.ref.flow)
    requests.apply(call.store, call.ref, definition, by=call.by)
    found = call.store.draft(call.ref)
    withdrawn = {"definition": definition, "based_on": record.meta.value.latest}
    return One(data=_draft(call, found.value if found else withdrawn))


def delete_draft(call: Call) -> None:
    requests.discard(call.store, call.ref, by=call.by)


def _draft(call: Call, document: Json) -> Draft:
    made = flow_id(call.ref)
    return Draft(
        id=made,
        type="flow-draft",
        links=Links(self=f"{PREFIX}/flows/{made}/draft"),
        attributes=DraftAttributes(
            definition=document["definition"],
            author=document.get("by", ""),
            at=document.get("at", ""),
            based_on=document.get("based_on", 0),
        ),
    )


def list_versions(call: Call) -> Many[Version]:
    active = requests.existing(call.store, call.ref).status.value.version
    newest_first = call.store.versions(call.ref)[::-1]
    found, meta = page_of(newest_first, call.query)
    return Many(data=[_version(call, document | {"definition": None}, active) for document in found], meta=meta)


def get_version(call: Call) -> One[Version]:
    return _shown(call, _number(call))


def publish(call: Call) -> One[Version]:
    return _shown(call, requests.publish(call.store, call.ref, by=call.by, **_options(call)))


def revert(call: Call) -> One[Version]:
    return _shown(call, requests.revert(call.store, call.ref, _number(call), by=call.by, **_options(call)))


def _options(call: Call) -> Json:
    if call.body is None:
        return {}
    given: Json = call.body.data.attributes.model_dump()
    return given | {"ready_timeout": given["ready_timeout"] or 0.0}


def _shown(call: Call, number: int) -> One[Version]:
    active = requests.existing(call.store, call.ref).status.value.version
    document = call.store.version(call.ref.version(number))
    if document is None:
        raise NotFound(f"flow {call.ref} has no version {number}")
    return One(data=_version(call, document, active))


def _number(call: Call) -> int:
    text = call.path["version"]
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(1 << 31)):
        raise NotFound(f"flow {call.ref} has no version {text!r}; versions are numbers")
    return int(text)


def _version(call: Call, document: Json, active: int) -> Version:
    number, flow = int(document["number"]), flow_id(call.ref)
    return Version(
        id=f"{flow}.v{number}",
        type="flow-version",
        links=Links(self=f"{PREFIX}/flows/{flow}/versions/{number}"),
        attributes=VersionAttributes(
            number=number,
            author=document.get("author", ""),
            created_at=document.get("at", ""),
            note=document.get("note", ""),
            digest=document.get("digest", ""),
            active=number == active,
            definition=document["definition"],
        ),
    )


_MADE: Final = HTTPStatus.CREATED

# fmt: off
OPERATIONS: Final = (
    Operation("GET", DRAFT, "get_draft", "The draft", get_draft, Right.READ, One[Draft]),
    Operation("PUT", DRAFT, "put_draft", "Another draft", put_draft, Right.EDIT_FLOWS, One[Draft], takes=WrittenDraft),
    Operation("DELETE", DRAFT, "delete_draft", "Throw the draft away", delete_draft, Right.EDIT_FLOWS, None, HTTPStatus.NO_CONTENT),
    Operation("POST", f"{FLOW}/publish", "publish_flow", "Make the draft the next version", publish, Right.EDIT_FLOWS, One[Version], _MADE, takes=Order[Publish], body_optional=True),
    Operation("GET", VERSIONS, "list_versions", "Published versions, newest first", list_versions, Right.READ, Many[Version], query=VersionQuery),
    Operation("GET", f"{VERSIONS}/{{version}}", "get_version", "One version, with its definition", get_version, Right.READ, One[Version]),
    Operation("POST", f"{VERSIONS}/{{version}}/revert", "revert_flow", "Make what an old version says the next one", revert, Right.EDIT_FLOWS, One[Version], _MADE, takes=Order[Publish], body_optional=True),
)
# fmt: on

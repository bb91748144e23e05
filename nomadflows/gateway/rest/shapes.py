"""JSON:API as pydantic models: what requests and answers are made of. The OpenAPI document is made from these too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

A = TypeVar("A", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

PAGE_SIZE: Final = 50
MOST_ON_A_PAGE: Final = 100


class Shape(BaseModel):
    """Unknown members are refused: a misspelt one would otherwise do nothing, silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────


class NoQuery(Shape):
    """An operation without query parameters."""


class Paged(Shape):
    number: Annotated[int, Field(alias="page[number]", ge=1, le=1_000_000, description="Pages begin with 1.")] = 1
    size: Annotated[int, Field(alias="page[size]", ge=1, le=MOST_ON_A_PAGE)] = PAGE_SIZE


class InWorkspace(Shape):
    workspace_id: Annotated[str, Field(description="The workspace's name.")]


class ListQuery(InWorkspace, Paged):
    """A page of what a workspace holds."""


class WorkspaceId(Shape):
    type: Literal["workspace"]
    id: str


class ToWorkspace(Shape):
    data: WorkspaceId


class OfWorkspace(Shape):
    workspace: ToWorkspace


class Attributes(Shape, Generic[A]):
    """The data of a request that needs neither type nor id."""

    attributes: A


class Order(Shape, Generic[A]):
    """`{"data": {"attributes": {…}}}`."""

    data: Attributes[A]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────


class Links(Shape):
    self: str


class Related(Shape):
    related: str


class RelatedLinks(Shape):
    links: Related


class PageMeta(Shape):
    page: int
    per_page: int
    total: int
    total_pages: int


class One(Shape, Generic[R]):
    """One resource."""

    data: R


class Many(Shape, Generic[R]):
    """A page of resources."""

    data: list[R]
    meta: PageMeta


class All(Shape, Generic[R]):
    """All resources of a kind, where there are few."""

    data: list[R]


class Pointer(Shape):
    """Where in the request: a JSON pointer into its body, or the name of a query parameter."""

    pointer: str | None = None
    parameter: str | None = None


class ErrorMeta(Shape):
    hint: str


class Error(Shape):
    status: str
    title: str
    detail: str
    source: Pointer | None = None
    meta: ErrorMeta | None = None


class Errors(Shape):
    """What every answer from 400 on holds."""

    errors: Annotated[list[Error], Field(min_length=1)]


T = TypeVar("T")


def page_of(found: Sequence[T], query: Paged) -> tuple[Sequence[T], PageMeta]:
    """One page, and what is told about all."""
    start = (query.number - 1) * query.size
    pages = -(-len(found) // query.size)
    meta = PageMeta(page=query.number, per_page=query.size, total=len(found), total_pages=pages)
    return found[start : start + query.size], meta


def in_workspace(name: str) -> OfWorkspace:
    return OfWorkspace(workspace=ToWorkspace(data=WorkspaceId(type="workspace", id=name)))


def encoded(model: BaseModel) -> bytes:
    """As sent: members that are not known are null, never absent, but for an error's."""
    return model.model_dump_json(by_alias=True, exclude_none=isinstance(model, Errors)).encode()

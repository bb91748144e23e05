"""The components that flows can use: the installation's, so any user may see them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from nomadflows.gateway.rest.operation import PREFIX, Call, Operation
from nomadflows.gateway.rest.shapes import Links, Many, One, Paged, Shape, page_of
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NotFound
from nomadflows.model.freshness import deprecation
from nomadflows.model.names import COMPONENT as COMPONENT_NAME

Json = dict[str, Any]

COMPONENTS: Final = f"{PREFIX}/components"
COMPONENT: Final = f"{COMPONENTS}/{{component}}"
VERSIONS: Final = f"{COMPONENT}/versions"
LATEST: Final = "latest"


class ComponentAttributes(Shape):
    """`functions`: each with `trigger` or `action`, as the newest version has them."""

    name: str
    title: str
    description: str
    language: str
    latest_version: str
    versions: Annotated[list[str], Field(description="Newest first.")]
    functions: dict[str, str]


class Component(Shape):
    id: str
    type: Literal["component"]
    links: Links
    attributes: ComponentAttributes


class ComponentVersionAttributes(Shape):
    version: str
    language: str
    digest: str
    deployed_at: str | None
    deprecated: Annotated[str | None, Field(description="Why nothing new should use it.")]


class ComponentVersionResource(Shape):
    id: str
    type: Literal["component-version"]
    links: Links
    attributes: ComponentVersionAttributes


class Descriptor(Shape):
    """`attributes` is the component.json."""

    id: str
    type: Literal["descriptor"]
    attributes: Json


class ComponentQuery(Paged):
    """A page of components, or of versions."""


def list_components(call: Call) -> Many[Component]:
    known = sorted(call.store.components().items())
    found, meta = page_of(known, call.query)
    return Many(data=[_component(versions) for _, versions in found], meta=meta)


def get_component(call: Call) -> One[Component]:
    return One(data=_component(_known(call)))


def list_versions(call: Call) -> Many[ComponentVersionResource]:
    found, meta = page_of(_known(call), call.query)
    marks = call.store.deprecations(found[0].name) if found else {}
    return Many(data=[_version(version, deprecation(version, marks)) for version in found], meta=meta)


def get_descriptor(call: Call) -> One[Descriptor]:
    asked = call.path["revision"]
    known = _known(call)
    chosen = next((one for one in known if asked in {LATEST, one.version}), None)
    if chosen is None:
        raise NotFound(f"component {known[0].name} has no version {asked!r}")
    return One(data=Descriptor(id=chosen.ref, type="descriptor", attributes=chosen.descriptor))


def _known(call: Call) -> list[ComponentVersion]:
    """Newest first."""
    name = call.path["component"]
    found = call.store.component_versions(name) if COMPONENT_NAME.fullmatch(name) else []
    if not found:
        raise NotFound(f"there is no component {name!r}")
    return found


def _component(versions: list[ComponentVersion]) -> Component:
    newest = versions[0]
    return Component(
        id=newest.name,
        type="component",
        links=Links(self=f"{COMPONENTS}/{newest.name}"),
        attributes=ComponentAttributes(
            name=newest.name,
            title=str(newest.descriptor.get("title", "")),
            description=str(newest.descriptor.get("description", "")),
            language=newest.language,
            latest_version=newest.version,
            versions=[one.version for one in versions],
            functions=newest.functions(),
        ),
    )


def _version(one: ComponentVersion, deprecated: str) -> ComponentVersionResource:
    return ComponentVersionResource(
        id=one.ref,
        type="component-version",
        links=Links(self=f"{COMPONENTS}/{one.name}/versions/{one.version}/descriptor"),
        attributes=ComponentVersionAttributes(
            version=one.version,
            language=one.language,
            digest=one.digest,
            deployed_at=one.at or None,
            deprecated=deprecated or None,
        ),
    )


# fmt: off
OPERATIONS: Final = (
    Operation("GET", COMPONENTS, "list_components", "Components, by name", list_components, None, Many[Component], query=ComponentQuery),
    Operation("GET", COMPONENT, "get_component", "One component", get_component, None, One[Component]),
    Operation("GET", VERSIONS, "list_component_versions", "Its versions, newest first", list_versions, None, Many[ComponentVersionResource], query=ComponentQuery),
    Operation("GET", f"{VERSIONS}/{{revision}}/descriptor", "get_descriptor", "The component.json of a version", get_descriptor, None, One[Descriptor]),
)
# fmt: on

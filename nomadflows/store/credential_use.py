"""Who needs a credential. Credentials lie in Vault; which flows name them stands here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from nomadflows.model.errors import Refused
from nomadflows.model.freshness import component_of
from nomadflows.model.states import FlowState
from nomadflows.store.documents import FlowRecord
from nomadflows.store.store import Store


def check_unused(store: Store, workspace: str, name: str) -> None:
    """Refused, with the flows named, while there are such as could not go on, start or be published without it."""
    fetching = _fetched_by(store, name)
    found = [
        f"{record.ref} ({use})" for record in store.flows(workspace) if (use := _use(store, record, name, fetching))
    ]
    if found:
        raise Refused(
            f"credential {name} is used by {', '.join(found)}",
            hint="stop them and publish versions of them that name another",
        )


def _use(store: Store, record: FlowRecord, name: str, fetching: Collection[str]) -> str:
    for what, definition in _definitions(store, record):
        steps = definition.get("steps", ())
        if any(step.get("credential") == name or component_of(step) in fetching for step in steps):
            return what
    return ""


def _definitions(store: Store, record: FlowRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """What runs, what a start would begin with, what may be published."""
    status, latest = record.status.value, record.meta.value.latest
    if status.state is not FlowState.STOPPED:
        for number in sorted({status.version, status.replacing, status.incoming} - {0}):
            yield from _version(store, record, number, str(status.state))
    if latest:
        yield from _version(store, record, latest, f"version {latest}")
    draft = store.draft(record.ref) if record.has_draft else None
    if draft is not None:
        yield "draft", draft.value["definition"]


def _version(store: Store, record: FlowRecord, number: int, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    document = store.version(record.ref.version(number))
    if document is not None:
        yield what, document["definition"]


def _fetched_by(store: Store, name: str) -> set[str]:
    """Components whose images nodes fetch with it."""
    return {
        version.name
        for versions in store.components().values()
        for version in versions
        if version.registry_credential == name
    }

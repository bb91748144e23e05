"""Workspaces: made, changed, described. A workspace that nobody recorded is full and has no limits of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.limits import Holding, holding, written
from nomadflows.model.names import WORKSPACE, WORKSPACE_RULE
from nomadflows.model.states import WorkspaceType
from nomadflows.store import users
from nomadflows.store.store import Store
from nomadflows.store.transaction import Delete

Json = dict[str, Any]

DEFAULT: Final = "default"

Limits = Mapping[str, int | str | None]  # as written, `100MiB` too; None: no word of its own


def create(store: Store, name: str, type_: WorkspaceType) -> None:
    """Refused if it is recorded already."""
    check_name(name)
    if store.workspace(name) is not None:
        raise Refused(f"workspace {name} exists already", hint=f"nomadflows workspace show {name}")
    store.put_workspace(name, {"type": type_.value}, cas=0)


def check_name(name: str) -> None:
    if not WORKSPACE.fullmatch(name):
        raise InputError(f"not a workspace name: {name!r}", hint=WORKSPACE_RULE)


def change(store: Store, name: str, *, type_: WorkspaceType | None, limits: Limits) -> None:
    """What is not named stays. InputError if a limit is none."""
    found = store.workspace(name)
    if found is None and name != DEFAULT and not _has_flows(store, name):
        raise NotFound(f"there is no workspace {name!r}", hint=f"nomadflows workspace create {name}")
    document = {"type": WorkspaceType.FULL.value, **(found.value if found else {})}
    if type_ is not None:
        document["type"] = type_.value
    if limits:
        document["limits"] = _changed(document.get("limits", {}), limits, "workspace")
    store.put_workspace(name, document, cas=found.index if found else 0)


def check_empty(store: Store, name: str) -> None:
    """Refused while it holds flows, those that can be restored included: nothing of them may be left in the servers."""
    if name == DEFAULT:
        raise Refused(f"workspace {name} cannot be deleted: it is there without being made")
    if found := store.flow_refs(name):
        raise Refused(
            f"workspace {name} holds {len(found)} flows, such as {found[0].flow}", hint="stop and delete them first"
        )
    if deleted := store.deleted_refs(name):
        raise Refused(
            f"workspace {name} holds {len(deleted)} deleted flows that can be restored, such as {deleted[0].flow}",
            hint="`nomadflows flow delete --for-good` ends that",
        )


def remove(store: Store, name: str, *, by: str) -> None:
    """Its document and its members' roles; last the one of whoever does it, so that it can be done again."""
    check_empty(store, name)
    found = store.workspace(name)
    if found is not None:
        store.transact([Delete(store.keys.workspace(name), found.index)])
    for user in sorted(users.members(store, name), key=lambda user: user.name == by):
        users.forget_role(store, user.name, name)


def change_installation(store: Store, limits: Limits) -> None:
    """What holds where no workspace says otherwise."""
    found = store.installation_limits()
    changed = _changed(found.value if found else {}, limits, "installation")
    store.put_installation_limits(changed, cas=found.index if found else 0)


def described(store: Store, name: str | None) -> Json:
    """A workspace, or the installation, and what holds for queues in it."""
    found = store.workspace(name) if name else None
    installed = store.installation_limits()
    own: Json = found.value if found else {}
    held = holding({"workspace": own.get("limits"), "installation": installed.value if installed else None})
    named = {"workspace": name, "type": WorkspaceType.FULL.value} if name else {}
    return {**named, **own, "queues": _queues(held)}


def shown(store: Store, name: str) -> Json:
    """As `described`, with its flows. NotFound if there is nothing of it."""
    found = store.workspace(name) if WORKSPACE.fullmatch(name) else None
    flows = store.flow_refs(name) if WORKSPACE.fullmatch(name) else []
    if found is None and not flows:
        raise NotFound(f"there is no workspace {name!r}", hint="nomadflows workspace list")
    return {**described(store, name), "flows": [ref.flow for ref in flows]}


def listed(store: Store) -> list[Json]:
    """Every workspace that is recorded or holds a flow."""
    known = store.workspaces()
    counts: dict[str, int] = dict.fromkeys(known, 0)
    for ref in store.flow_refs():
        counts[ref.workspace] = counts.get(ref.workspace, 0) + 1
    return [
        {"workspace": name, "type": known.get(name, {}).get("type", "full"), "flows": counts[name]}
        for name in sorted(counts)
    ]


def _has_flows(store: Store, name: str) -> bool:
    return bool(WORKSPACE.fullmatch(name) and store.flow_refs(name))


def _changed(limits: Json, asked: Limits, level: str) -> Json:
    kept = {key: value for key, value in limits.items() if key not in asked}
    return kept | written({key: value for key, value in asked.items() if value is not None}, level)


def _queues(held: Holding) -> Json:
    return {key: {"limit": value, "from": held.origin[key]} for key, value in held.limits.to_json().items()}

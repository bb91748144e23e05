"""Where what is kept in Consul: the layout as people see it in Consul's key browser. Names only, no I/O."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import timestamp

META: Final = "meta"
DRAFT: Final = "draft"
DESIRED: Final = "desired"
STATUS: Final = "status"
EVENTS: Final = "events"
STARTUP: Final = "startup"  # what the start-up hook returned
DELETED: Final = "deleted"  # takes the place of `meta`


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below one prefix."""

    prefix: str = "nomadflows"

    @property
    def leader(self) -> str:
        return f"{self.prefix}/leader"

    @property
    def limits(self) -> str:
        """What holds where no workspace says otherwise."""
        return f"{self.prefix}/limits"

    @property
    def workspaces(self) -> str:
        return f"{self.prefix}/workspaces/"

    def workspace(self, name: str) -> str:
        return self.workspaces + name

    @property
    def users(self) -> str:
        return f"{self.prefix}/users/"

    def user(self, name: str) -> str:
        return self.users + name

    @property
    def components(self) -> str:
        return f"{self.prefix}/components/"

    def component_versions(self, name: str) -> str:
        return f"{self.components}{name}/versions/"

    def component(self, name: str, version: str) -> str:
        return self.component_versions(name) + version

    def highest_component(self, name: str) -> str:
        """The highest version it ever had, whether or not that is still there."""
        return f"{self.components}{name}/highest"

    def deprecations(self, name: str) -> str:
        return f"{self.components}{name}/deprecated/"

    def deprecation(self, name: str, version: str) -> str:
        """Beside the version, since that never changes."""
        return self.deprecations(name) + version

    def deprecated(self, keys: Iterable[str]) -> set[str]:
        """Keys below `components` read back: name@version of each mark."""
        found = set()
        for key in keys:
            match key.removeprefix(self.components).split("/"):
                case [name, "deprecated", version]:
                    found.add(f"{name}@{version}")
        return found

    def call(self, call: VersionRef) -> str:
        """The result of a question to a component, until who asked has read it."""
        return f"{self.prefix}/calls/{call.workspace}/{call.flow}"

    def flows(self, workspace: str | None = None) -> str:
        return f"{self.prefix}/flows/{workspace}/" if workspace else f"{self.prefix}/flows/"

    def tree(self, ref: FlowRef) -> str:
        """Everything about a flow is below this."""
        return f"{self.flows(ref.workspace)}{ref.flow}/"

    def flow(self, ref: FlowRef, document: str) -> str:
        return self.tree(ref) + document

    def versions(self, ref: FlowRef) -> str:
        return self.flow(ref, "versions/")

    def version(self, vref: VersionRef) -> str:
        return f"{self.versions(vref.ref)}{vref.number}"

    def snapshots(self, ref: FlowRef) -> str:
        return self.flow(ref, "snapshots/")

    def snapshot(self, ref: FlowRef, step: str) -> str:
        return self.snapshots(ref) + step

    def deleted_flows(self, keys: Iterable[str]) -> list[FlowRef]:
        """As `flow_names`: the flows that are deleted and can still be restored."""
        split = (key[len(self.flows()) :].split("/") for key in keys if key.endswith("/" + DELETED))
        return sorted(FlowRef(parts[0], parts[1]) for parts in split if len(parts) == 3)  # noqa: PLR2004

    @property
    def inbox(self) -> str:
        return f"{self.prefix}/inbox/"

    def inbox_entry(self, ref: FlowRef, at: datetime) -> str:
        """A key of its own for every request; those of one flow sort by time."""
        return f"{self.inbox}{ref.workspace}.{ref.flow}.{timestamp(at)}-{secrets.token_hex(3)}"

    def flow_names(self, keys: Iterable[str]) -> tuple[list[FlowRef], set[FlowRef]]:
        """Keys below `flows` read back: the flows, sorted, and those that have a draft."""
        found: dict[str, list[FlowRef]] = {META: [], DRAFT: []}
        start = len(self.flows())
        for key in keys:
            if key.endswith(("/" + META, "/" + DRAFT)):
                match key[start:].split("/"):
                    case [workspace, flow, document]:  # not a snapshot of a step that is called like one of them
                        found[document].append(FlowRef(workspace, flow))
        return sorted(found[META]), set(found[DRAFT])

    def inbox_flow(self, key: str) -> FlowRef | None:
        """The flow an inbox key names, whatever its value holds."""
        workspace, _, rest = key.removeprefix(self.inbox).partition(".")
        flow, _, _ = rest.partition(".")
        try:
            return FlowRef.parse(f"{workspace}/{flow}")
        except ValueError:
            return None

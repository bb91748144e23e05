"""A component version: what its descriptor promises and where nodes find its code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Amount:
    """Of something that each process gets: without a word of anybody, at least, at most."""

    usual: int
    least: int
    most: int


MEMORY_MIB: Final = Amount(256, 16, 4_096)
CPU_MHZ: Final = Amount(100, 10, 100_000)
AMOUNTS: Final = {"memory": MEMORY_MIB, "cpu": CPU_MHZ}  # members of a descriptor's and a step's `resources`

# Languages whose step library reads its credential in a file that Nomad's client renders. The others, Node's library and
# what an image starts, ask the component API for all of their configuration, the credential's members included.
CREDENTIAL_BY_FILE: Final = frozenset({"python"})


@dataclass(frozen=True, slots=True)
class ComponentVersion:
    """Stored under `components/<name>/versions/<version>`; never changes once written."""

    name: str
    version: str  # semver without v
    language: str  # python | node | image (another one, which the image's own command starts)
    descriptor: Json = field(default_factory=dict)  # component.json as deployed
    location: Json = field(
        default_factory=dict
    )  # {"builtin": name} | {"artifact": sha256, …} | {"image": ref, …} | {"path": folder}: of tests and benches
    digest: str = ""
    at: str = ""
    hooks: tuple[str, ...] = ()  # functions with a start-up or a shutdown hook

    @property
    def image(self) -> str:
        """The image it runs from, by content; "" if it is a folder."""
        return str(self.location.get("image", ""))

    @property
    def registry_credential(self) -> str:
        """The credential, of the workspace of whoever uses it, by which nodes fetch its image; "" if they need none."""
        return str(self.location.get("credential", ""))

    @property
    def library(self) -> str:
        """The version of Node's step library it was deployed with; "" if that is not known, or it has none."""
        return str(self.location.get("sailor", ""))

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"

    def amount(self, name: str) -> int:
        """What one process of it gets of `memory` (MiB) or `cpu` (MHz), unless its step says otherwise."""
        return int(self.descriptor.get("resources", {}).get(name, AMOUNTS[name].usual))

    def functions(self) -> dict[str, str]:
        """function → "trigger" or "action"."""
        return {
            **dict.fromkeys(self.descriptor.get("actions", {}), "action"),
            **dict.fromkeys(self.descriptor.get("triggers", {}), "trigger"),
        }

    def entry(self, function: str) -> Json:
        """The descriptor's object of one trigger or action; KeyError if there is none."""
        for group in ("triggers", "actions"):
            if function in self.descriptor.get(group, {}):
                return dict(self.descriptor[group][function])
        raise KeyError(function)

    def is_polling(self, function: str) -> bool:
        """Whether the function is a trigger that wants ticks."""
        trigger = self.descriptor.get("triggers", {}).get(function)
        return trigger is not None and trigger.get("type", "webhook") == "polling"

    def replies(self, function: str) -> bool:
        """Whether the function is an action that answers a webhook's caller."""
        return bool((self.descriptor.get("actions", {}).get(function) or {}).get("httpReply"))

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "version": self.version,
            "language": self.language,
            "digest": self.digest,
            "at": self.at,
            **({"hooks": list(self.hooks)} if self.hooks else {}),
            "location": self.location,
            "descriptor": self.descriptor,
        }

    @classmethod
    def from_json(cls, data: Json) -> ComponentVersion:
        known = ("name", "version", "language", "descriptor", "location", "digest", "at")
        return cls(**{key: data[key] for key in known if key in data}, hooks=tuple(data.get("hooks", ())))

"""The documents nomadflows keeps about a flow in Consul, and the states they name.

Each class knows how to become plain JSON data (`to_json`) and how to be read back (`from_json`); readers
tolerate unknown and missing fields, so that an older reader survives a newer writer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

Json = dict[str, Any]


class Kind(StrEnum):
    ORDINARY = "ordinary"
    REALTIME = "realtime"

    @classmethod
    def parse(cls, text: str) -> Kind:
        """Also accepts the platform's other spellings. ValueError otherwise."""
        return cls.REALTIME if text in {"realtime", "real-time", "long_running"} else cls(text)


class FlowState(StrEnum):
    """What a flow is doing, as its controller says."""

    STOPPED = "Stopped"
    STARTING = "Starting"
    RUNNING = "Running"
    SLEEPING = "Sleeping"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    STOPPING = "Stopping"


class StepState(StrEnum):
    """What one step of a flow is doing."""

    SLEEPING = "Sleeping"
    STARTING = "Starting"
    RUNNING = "Running"
    SHUTTING_DOWN = "Shutting Down"
    SUSPENDED = "Suspended"


class WantedState(StrEnum):
    """What somebody asked for; the controller makes it so."""

    RUNNING = "running"
    STOPPED = "stopped"
    SUSPENDED = "suspended"


class WorkspaceType(StrEnum):
    FULL = "full"
    LIMITED = "limited"


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as all documents hold it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


class _Document:
    """A dataclass that is stored as JSON: enums as their values, times as text."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # cheaper than dataclasses.fields()

    def to_json(self) -> Json:
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def _known(cls, data: Json) -> Json:
        return {name: data[name] for name in cls.__dataclass_fields__ if name in data}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(**cls._known(data))


def _plain(value: object) -> object:
    if isinstance(value, _Document):
        return value.to_json()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Meta(_Document):
    """What a flow is, apart from its definition. `kind` is set here, changed only while Stopped."""

    name: str
    kind: Kind = Kind.ORDINARY
    labels: dict[str, str] = field(default_factory=dict)
    latest: int = 0  # newest published version; 0: none yet
    created: str = ""

    @classmethod
    def from_json(cls, data: Json) -> Meta:
        known = cls._known(data)
        return cls(**{**known, "kind": Kind.parse(known.get("kind", "ordinary"))})


@dataclass(frozen=True, slots=True)
class Deleted(_Document):
    """Stands in the place of a deleted flow's `meta` until it is restored, or removed for good."""

    at: str
    until: str  # from then on it is removed for good
    meta: Meta
    by: str = ""

    @classmethod
    def from_json(cls, data: Json) -> Deleted:
        known = cls._known(data)
        return cls(**{**known, "meta": Meta.from_json(known["meta"])})


@dataclass(frozen=True, slots=True)
class Desired(_Document):
    """What somebody wants of a flow. `generation` grows with each wish; the controller answers with
    `observed_generation`."""

    state: WantedState = WantedState.STOPPED
    version: int = 0
    generation: int = 0
    by: str = ""
    at: str = ""
    why: str = ""
    drain: bool = False  # of the last stop, for as long as it is under way: what is queued is finished first
    strategy: str = "replace"  # publish over an active flow: replace | handover
    force: bool = False  # resume although the cause of a suspension is still there
    ready_timeout: float = 0.0  # publish: seconds the new version may take to come up; 0: as its definition says
    scale: dict[str, int] = field(default_factory=dict)  # step → processes, instead of what the version says
    repair: bool = True  # whether the controller puts right what somebody else changed in the servers

    @classmethod
    def from_json(cls, data: Json) -> Desired:
        known = cls._known(data)
        return cls(**{**known, "state": WantedState(known.get("state", "stopped"))})


@dataclass(frozen=True, slots=True)
class Condition(_Document):
    """As Kubernetes has them: `reason` for programs, `message` for people."""

    type: str
    status: str  # "True" | "False" | "Unknown"
    reason: str
    message: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class StepStatus(_Document):
    """One running step, mappers included, as it was last seen."""

    id: str
    kind: str
    component: str  # resolved: name@version
    state: StepState = StepState.SLEEPING
    replicas: int = 0
    consumers: int = 0
    ready: int = 0
    unacked: int = 0
    restarts: int = 0
    message: str = ""  # why it is not Running, from Nomad's newest task event
    ready_s: float | None = None  # from the last start or wake to its first consumer
    memory_mib: int = 0  # that each of its processes may use: a limit in containers; 0: not known
    memory_peak_mib: int | None = None  # of the one whose newest exit was a kill for its memory

    @classmethod
    def from_json(cls, data: Json) -> StepStatus:
        known = cls._known(data)
        return cls(**{**known, "state": StepState(known.get("state", "Sleeping"))})


@dataclass(frozen=True, slots=True)
class Status(_Document):
    """What the controller last saw and did. Only the leader writes it."""

    state: FlowState = FlowState.STOPPED
    since: str = ""
    version: int = 0  # the version that runs, sleeps or is being brought up; 0: none
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    steps: tuple[StepStatus, ...] = ()
    components: dict[str, str] = field(default_factory=dict)  # step → name@version, resolved at flow start
    started: str = ""  # last start from Stopped; neither a resume nor a publish begins it anew
    input_version: int = 0  # where triggers put new messages, while they put any anywhere
    replacing: int = 0  # the older version that is being drained by a publish; 0: none
    came_from: int = 0  # the last version that was ready before a publish, until the new one is ready; 0: none
    incoming: int = 0  # hand-over: the newer version that warms up beside the running one; 0: none
    parking: bool = False  # steps are being taken down because nothing is left to do; ends in Sleeping
    waking: str = ""  # when the wake began whose steps are not all ready yet; "": none
    incoming_components: dict[str, str] = field(default_factory=dict)  # as `components`, of the incoming version
    incoming_ready: dict[str, float] = field(default_factory=dict)  # its step → seconds from the publish to a consumer
    job_index: int = 0  # Nomad's JobModifyIndex of our last registration; another one means a stranger's edit
    warm_up_s: float | None = None
    last_wake_s: float | None = None
    parked_s: float = 0.0  # in all, for `why`
    next_tick: str = ""
    later_ticks: tuple[str, ...] = ()  # those after the next one
    last_tick: str = ""
    dropped: int = 0  # messages the last stop threw away
    suspended_for: str = ""  # reason of the present suspension: Requested, QueueLimit, StartFailures, OutOfMemory

    @classmethod
    def from_json(cls, data: Json) -> Status:
        known = cls._known(data)
        return cls(
            **{
                **known,
                "state": FlowState(known.get("state", "Stopped")),
                "conditions": tuple(Condition.from_json(c) for c in known.get("conditions", ())),
                "later_ticks": tuple(known.get("later_ticks", ())),
                "steps": tuple(StepStatus.from_json(s) for s in known.get("steps", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class Event(_Document):
    """One line of a flow's history."""

    at: str
    reason: str  # machine-readable, CamelCase
    message: str
    state: str = ""  # state after it
    seconds: float | None = None  # how long it took, where that means something
    by: str = ""


EVENTS_KEPT = 200

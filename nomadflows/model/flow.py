"""The shape of a flow: what a flow file says and what a version in Consul holds.

Shapes and ranges only; whether the parts fit together is `flowcheck`'s question. A definition is stored the
way its author wrote it, defaults left out, so that a field added by a later release changes no stored digest.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
)

from nomadflows.model import environment, names, schedule
from nomadflows.model.component import CPU_MHZ, MEMORY_MIB
from nomadflows.model.errors import InputError
from nomadflows.model.problems import Allowed, shape_problems, shown
from nomadflows.model.queuelimits import BYTES, FIELDS, MESSAGES
from nomadflows.model.states import Kind
from nomadflows.model.units import Duration, Size

Json = dict[str, Any]

_VERSION: Final = r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?"
_USE: Final = re.compile(  # component, version, function
    rf"({names.COMPONENT.pattern})(?:@({_VERSION}))?:([A-Za-z0-9_.-]{{1,64}})"
)

MAX_STEPS: Final = 100
MAX_VARIABLES: Final = 100


def _parse_kind(value: object) -> object:
    try:
        return Kind.parse(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"{shown(value)} is no kind of flow") from error


def _parse_after(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _parse_mapping(value: object) -> object:
    if value is not None and not isinstance(value, str | dict):
        raise ValueError(f"{shown(value)} is no mapping")
    return value


def _check_use(value: object) -> object:
    if isinstance(value, str) and not _USE.fullmatch(value):
        raise ValueError(f"{shown(value)} names no function of a component")
    return value


def _check_env(value: object) -> object:
    if isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair):
        for problem in environment.problems(value):
            raise ValueError(problem)
    return value


def _check_secret_env(value: object) -> object:
    if isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair):
        for problem in environment.secret_problems(value):
            raise ValueError(problem)
    return value


_Text = Annotated[str, Strict()]
_Flag = Annotated[bool, Allowed("true, false")]


class _Shape(BaseModel):
    """Frozen, nothing unknown, nothing coerced: `"3"` is no number and `1` no truth."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=False)


class Resources(_Shape):
    """What one process of a step may use; what is not said here is as its component says."""

    memory: Annotated[int | None, Allowed("a whole number of MiB from 16 to 4096")] = Field(
        default=None,
        ge=MEMORY_MIB.least,
        le=MEMORY_MIB.most,
        description="Memory of one process, MiB; 16 to 4096. Default: the component's, else 256.",
    )
    cpu: Annotated[int | None, Allowed("a whole number of MHz from 10 to 100000")] = Field(
        default=None,
        ge=CPU_MHZ.least,
        le=CPU_MHZ.most,
        description="CPU of one process, MHz; 10 to 100000. Default: the component's, else 100.",
    )


class Limits(_Shape):
    """How much may wait in the flow, and for how long the controller waits for it."""

    messages: Annotated[int, Allowed("a whole number from 1 to 10000000")] = Field(
        default=MESSAGES,
        ge=1,
        le=10_000_000,
        description="Messages one step's queue holds; beyond 80 % the flow may be suspended.",
    )
    bytes: Annotated[Size, Allowed("a whole number of bytes, or text like 200MiB, from 1MiB to 10GiB")] = Field(
        default=BYTES,
        ge=1024**2,
        le=10 * 1024**3,
        description="Bytes one step's queue holds; a number, or 200MiB.",
    )
    ready_timeout: Annotated[Duration, Allowed("a duration from 1s to 30m")] = Field(
        default=120.0, ge=1, le=1800, description="How long a start may take before the flow says that it is late."
    )
    drain: Annotated[Duration, Allowed("a duration from 0s to 30m")] = Field(
        default=30.0, ge=0, le=1800, description="How long a replaced version may take to finish what it holds."
    )


class Autoscale(_Shape):
    """How many processes a step has, by what waits for it."""

    min: Annotated[int, Allowed("a whole number from 1 to 20")] = Field(
        default=1, ge=1, le=20, description="Processes there are at least while the flow is up."
    )
    max: Annotated[int, Allowed("a whole number from 1 to 20, not below min")] = Field(
        ge=1, le=20, description="Processes there are at most."
    )
    target_queue: Annotated[int, Allowed("a whole number from 1 to 1000000")] = Field(
        default=100, ge=1, le=1_000_000, description="Waiting messages for which one process is enough."
    )


_Map = Annotated[
    str | Json | None,
    BeforeValidator(_parse_mapping),
    Allowed("a mapping of target fields to JSONata, or one JSONata text"),
]
_When = Annotated[_Text | None, Allowed("a JSONata condition")]


class Edge(_Shape):
    """What becomes of a message on its way from one step to another."""

    map: _Map = Field(default=None, description="As `map` of the step.")
    when: _When = Field(default=None, description="As `when` of the step.")
    otherwise: _Flag = Field(default=False, description="As `otherwise` of the step.")

    @property
    def changes_nothing(self) -> bool:
        return not self.map and self.when is None and not self.otherwise


class StepDefinition(_Shape):
    """One step: which function of which component, fed by whom, with what."""

    id: Annotated[_Text, Allowed("1 to 63 letters, digits, - and _, beginning with a letter or digit")] = Field(
        pattern=f"^{names.STEP.pattern}$", description="Name of the step, unique in the flow; part of its queue's name."
    )
    name: Annotated[_Text, Allowed("text of at most 200 characters")] = Field(
        default="", max_length=200, description="A title for people."
    )
    use: Annotated[_Text, BeforeValidator(_check_use), Allowed("component:function or component@1.2.3:function")] = (
        Field(
            description="component:function, the newest version at flow start; or component@1.2.3:function, that version.",
            json_schema_extra={"pattern": f"^{_USE.pattern}$"},
        )
    )
    credential: Annotated[_Text | None, Allowed("lower-case letters, digits and -")] = Field(
        default=None, pattern=f"^{names.CREDENTIAL.pattern}$", description="Name of a credential of the workspace."
    )
    with_: Annotated[Json, Allowed("a mapping of the function's settings")] = Field(
        default_factory=dict, alias="with", description="Settings of the function, constant for the flow version."
    )
    map: _Map = Field(
        default=None,
        description="What the step gets: target field → JSONata over the output of the step before, or one JSONata text.",
    )
    after: Annotated[
        tuple[_Text, ...] | None,
        Strict(strict=False),
        BeforeValidator(_parse_after),
        Allowed("the id of a step, or a list of ids"),
    ] = Field(
        default=None,
        min_length=1,
        max_length=MAX_STEPS,
        description="The step or steps whose output it gets; without it: the step above.",
        json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
        },
    )
    when: _When = Field(
        default=None, description="JSONata condition; a message for which it is false does not reach the step."
    )
    otherwise: _Flag = Field(
        default=False,
        description="Gets the messages for which no `when` of the other steps after the same step holds.",
    )
    edges: Annotated[dict[_Text, Edge], Allowed("a mapping of steps whose output it gets to map, when, otherwise")] = (
        Field(
            default_factory=dict,
            max_length=MAX_STEPS,
            description="Step whose output it gets → what holds on that edge alone, instead of map, when, otherwise.",
        )
    )
    replicas: Annotated[int, Allowed("a whole number from 1 to 20")] = Field(
        default=1, ge=1, le=20, description="Processes of the step, side by side on one queue; 1 to 20."
    )
    autoscale: Annotated[Autoscale | None, Allowed("min, max, target_queue")] = Field(
        default=None, description="Let the controller choose the number of processes; instead of `replicas`."
    )
    prefetch: Annotated[int, Allowed("a whole number from 1 to 65535")] = Field(
        default=1, ge=1, le=65_535, description="Messages one process holds at once."
    )
    resources: Annotated[Resources, Allowed("memory, cpu")] = Field(
        default=Resources(), description="What one process may use."
    )
    env: Annotated[
        dict[str, _Text], BeforeValidator(_check_env), Allowed("a mapping of names to texts, without secrets")
    ] = Field(
        default_factory=dict,
        max_length=environment.MOST,
        description="Variables of the step's process, besides the platform's; no place for secrets.",
        json_schema_extra={"propertyNames": {"pattern": f"^{environment.NAME.pattern}$"}},
    )
    secret_env: Annotated[
        dict[str, _Text], BeforeValidator(_check_secret_env), Allowed("a mapping of names to members of the credential")
    ] = Field(
        default_factory=dict,
        max_length=environment.MOST,
        description="Variables of the step's process → members of its credential, which are their values.",
        json_schema_extra={"propertyNames": {"pattern": f"^{environment.NAME.pattern}$"}},
    )
    log_level: Annotated[
        Literal["trace", "debug", "info", "warn", "error", "fatal"] | None, Allowed(", ".join(environment.LOG_LEVELS))
    ] = Field(default=None, description="From which level on the step logs; without it: info.")
    passthrough: _Flag = Field(
        default=True, description="Whether later steps see earlier steps' messages through this one ($getPassthrough)."
    )
    elasticio: Annotated[Json, Allowed("what `flow import` kept of a graph")] = Field(
        default_factory=dict, description="What a graph of elastic.io had beside it; nothing runs by it."
    )
    error_handler: _Flag = Field(default=False, description="The one step that gets every error of the flow.")
    min_interval: Annotated[Duration, Allowed("a duration from 100ms to 1h")] = Field(
        default=1.0, ge=0.1, le=3600, description="Trigger of a realtime flow: shortest time from one poll to the next."
    )

    @property
    def component(self) -> str:
        return self._use(1)

    @property
    def version(self) -> str:
        """The version `use` pins, or ""."""
        return self._use(2)

    @property
    def function(self) -> str:
        return self._use(3)

    def edge(self, source: str) -> Edge:
        """From a step before this one."""
        return self.edges.get(source) or Edge.model_construct(map=self.map, when=self.when, otherwise=self.otherwise)

    def _use(self, part: int) -> str:
        match = _USE.fullmatch(self.use)
        return (match[part] or "") if match else ""


class FlowDefinition(_Shape):
    """A flow as its author wrote it."""

    flow: Annotated[_Text, Allowed("1 to 63 lower-case letters, digits and -, neither first nor last a -")] = Field(
        pattern=f"^{names.FLOW.pattern}$", description="Name of the flow, unique in its workspace."
    )
    kind: Annotated[Kind, BeforeValidator(_parse_kind), Allowed("ordinary, realtime")] = Field(
        default=Kind.ORDINARY, description="ordinary: parked when nothing is left to do. realtime: always running."
    )
    description: Annotated[_Text, Allowed("text of at most 1000 characters")] = Field(
        default="", max_length=1000, description="What the flow is for; at most 1000 characters."
    )
    schedule: Annotated[_Text | None, Allowed("a cron expression of 5 fields, 6 in a realtime flow")] = Field(
        default=None,
        description=f"When a polling trigger polls: cron. Ordinary flows without it: {schedule.DEFAULT!r}.",
    )
    timezone: Annotated[_Text, Allowed("an IANA name such as Europe/Berlin")] = Field(
        default="UTC", description="Time zone of the schedule."
    )
    jitter: Annotated[Duration | None, Allowed("a duration from 0s to 1h, such as 30s")] = Field(
        default=None,
        ge=0,
        le=3600,
        description="By how much at most its ticks come after their schedule, always by the same; spreads flows of one minute.",
    )
    idle_after: Annotated[Duration, Allowed("a duration from 0s to 30m, such as 60s or 5m")] = Field(
        default=60.0, ge=0, le=1800, description="Ordinary flows: park after so long without work; 0s to 30m."
    )
    retention: Annotated[Duration, Allowed("a duration from 1m to 30d")] = Field(
        default=604_800.0, ge=60, le=2_592_000, description="How long messages of a suspended flow are kept."
    )
    variables: Annotated[dict[_Text, _Text], Allowed("text for each name")] = Field(
        default_factory=dict,
        max_length=MAX_VARIABLES,
        description="Texts that mappings and components know by name ($getFlowVariables).",
        json_schema_extra={"propertyNames": {"pattern": f"^{names.VARIABLE.pattern}$"}},
    )
    elasticio: Annotated[Json, Allowed("what `flow import` kept of a graph")] = Field(
        default_factory=dict, description="What a graph of elastic.io had beside it; nothing runs by it."
    )
    limits: Annotated[Limits, Allowed("messages, bytes, ready_timeout, drain")] = Field(
        default=Limits(), description="Limits."
    )
    steps: Annotated[tuple[StepDefinition, ...], Strict(strict=False), Allowed(f"a list of 1 to {MAX_STEPS} steps")] = (
        Field(min_length=1, max_length=MAX_STEPS, description="The trigger first, then the actions.")
    )

    @property
    def idle_after_s(self) -> float:
        return self.idle_after

    @property
    def retention_s(self) -> float:
        return self.retention

    @property
    def ready_timeout_s(self) -> float:
        return self.limits.ready_timeout

    @property
    def drain_s(self) -> float:
        return self.limits.drain

    @property
    def trigger(self) -> StepDefinition:
        return self.steps[0]

    def cron(self, kind: Kind) -> str | None:
        """The schedule of a polling trigger; None in a real-time flow without one: it polls without pause."""
        return self.schedule or (schedule.DEFAULT if kind is Kind.ORDINARY else None)

    def jitter_s(self, default_s: float) -> float:
        """Who names no schedule was promised no minute: such flows are spread over their whole interval."""
        if self.jitter is not None:
            return self.jitter
        return default_s if self.schedule else max(default_s, schedule.DEFAULT_EVERY_S)

    def step(self, step_id: str) -> StepDefinition:
        """KeyError if the definition has no such step."""
        return next((s for s in self.steps if s.id == step_id), None) or _no_step(step_id)

    def to_json(self) -> Json:
        """As stored: what differs from the defaults, in the order of the fields. A queue limit that is written is kept
        though it is the default, since without it the workspace's would hold."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if kept := {name: getattr(self.limits, name) for name in FIELDS if name in self.limits.model_fields_set}:
            data["limits"] = kept | data.get("limits", {})
        data["steps"] = data.pop("steps")
        for step in data["steps"]:
            if len(step.get("after", ())) == 1:
                step["after"] = step["after"][0]
        return {"flow": self.flow, "kind": self.kind.value, **data}

    @classmethod
    def from_json(cls, data: Json) -> FlowDefinition:
        """InputError if the data has not the shape of a definition."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError("\n".join(str(p) for p in shape_problems(cls, error, data))) from error


def _no_step(step_id: str) -> StepDefinition:
    raise KeyError(step_id)

"""The steps a version really runs: the visible ones and, on edges with a mapping, mappers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nomadflows.model import names
from nomadflows.model.errors import InputError

if TYPE_CHECKING:  # who only handles RunSteps need not load pydantic
    from nomadflows.model.flow import Edge, FlowDefinition, StepDefinition


@dataclass(frozen=True, slots=True)
class Scaling:
    """Bounds of a step whose processes the controller counts out: one for each `target` waiting messages."""

    least: int
    most: int
    target: int


@dataclass(frozen=True, slots=True)
class RunStep:
    """One process group: what to run, with what, fed by whom."""

    id: str
    kind: str  # trigger | action | mapper
    use: str  # component, without version
    pinned: str  # component version the definition names; "": chosen at flow start
    function: str
    config: dict[str, Any] = field(default_factory=dict)
    credential: str | None = None
    after: tuple[str, ...] = ()  # steps whose output it gets; () for the trigger
    replicas: int = 1
    prefetch: int = 1
    memory: int | None = None  # MiB; None: as its component says
    cpu: int | None = None  # MHz
    passthrough: bool = True
    visible: bool = True
    error_handler: bool = False  # gets every error record of the flow instead of the output of `after`
    scaling: Scaling | None = None
    env: dict[str, str] = field(default_factory=dict)
    secret_env: dict[str, str] = field(default_factory=dict)  # variable → member of the credential
    log_level: str = ""  # "": as the step library has it


def predecessors(steps: Sequence[StepDefinition]) -> dict[str, tuple[str, ...]]:
    """step → the visible steps whose output it gets: those `after` names, else the step above it.

    The error handler stands beside the chain: it gets errors, and the step below it follows the step above it.
    """
    before: dict[str, tuple[str, ...]] = {}
    above: str | None = None
    for step in steps:
        if step.error_handler:
            before[step.id] = ()
            continue
        before[step.id] = step.after if step.after is not None else (above,) if above is not None else ()
        above = step.id
    return before


def ancestors(before: Mapping[str, Sequence[str]], step: str) -> set[str]:
    """Every step whose output can reach this one; the step itself only when it stands on a cycle."""
    found: set[str] = set()
    waiting = list(before.get(step, ()))
    while waiting:
        if (current := waiting.pop()) not in found:
            found.add(current)
            waiting.extend(before.get(current, ()))
    return found


def fed_by(start: str, steps: Sequence[RunStep]) -> set[str]:
    """`start` and every step that gets what it put out."""
    found = {start}
    while more := {step.id for step in steps if step.id not in found and found.intersection(step.after)}:
        found |= more
    return found


def cycles(before: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """One shortest cycle for each knot of steps that feed each other, in the direction messages would run."""
    reach = {step: ancestors(before, step) for step in before}
    known: set[str] = set()
    for step in before:
        if step in reach[step] and step not in known:
            known |= {other for other in reach[step] if step in reach.get(other, ())}
            yield _cycle_through(before, step)


def _cycle_through(before: Mapping[str, Sequence[str]], start: str) -> tuple[str, ...]:
    """Breadth first against the direction of the messages, from a step that is known to be its own ancestor."""
    trails: deque[tuple[str, ...]] = deque([(start,)])
    seen: set[str] = set()
    while True:
        trail = trails.popleft()
        for previous in before.get(trail[0], ()):
            if previous == start:
                return (start, *trail[:-1])
            if previous not in seen:
                seen.add(previous)
                trails.append((previous, *trail))


def expand(definition: FlowDefinition) -> tuple[RunStep, ...]:
    """The steps that run, in start order: the trigger, then every step after those that feed it.

    An edge into a step with a mapping or a condition gets a mapper: a step of its own, so that a mapping can be
    watched, retried and changed like any other step.
    """
    before = predecessors(definition.steps)
    by_id = {step.id: step for step in definition.steps}
    run: list[RunStep] = []
    for step in _start_order(definition.steps, before):
        mappers = {
            source: _mapper_from(by_id[source], step, conditions(definition.steps, before, source))
            for source in before[step.id]
            if not step.edge(source).changes_nothing
        }
        if step.error_handler and not step.edge("").changes_nothing:
            mappers = {"": _mapper_of_errors(step)}
        run.extend(mappers.values())
        run.append(
            RunStep(
                id=step.id,
                kind="trigger" if step is definition.steps[0] else "action",
                use=step.component,
                pinned=step.version,
                function=step.function,
                config=dict(step.with_),
                credential=step.credential,
                after=tuple(
                    mappers[source].id if source in mappers else source for source in before[step.id] or mappers
                ),
                replicas=step.autoscale.min if step.autoscale else step.replicas,
                scaling=_scaling(step),
                prefetch=step.prefetch,
                memory=step.resources.memory,
                cpu=step.resources.cpu,
                passthrough=step.passthrough,
                error_handler=step.error_handler and not mappers,
                env=dict(step.env),
                secret_env=dict(step.secret_env),
                log_level=step.log_level or "",
            )
        )
    return tuple(run)


def _scaling(step: StepDefinition) -> Scaling | None:
    rule = step.autoscale
    return Scaling(rule.min, rule.max, rule.target_queue) if rule else None


def _start_order(steps: Sequence[StepDefinition], before: Mapping[str, Sequence[str]]) -> Iterator[StepDefinition]:
    """As written, but nobody ahead of those that feed it."""
    waiting = list(steps)
    started: set[str] = set()
    while waiting:
        ready = next((step for step in waiting if started.issuperset(before[step.id])), None)
        if ready is None:
            raise InputError(f"steps wait for one another, or for none there is: {', '.join(s.id for s in waiting)}")
        waiting.remove(ready)
        started.add(ready.id)
        yield ready


def conditions(steps: Sequence[StepDefinition], before: Mapping[str, Sequence[str]], source: str) -> tuple[str, ...]:
    """Of the branches after a step: what makes it a router."""
    edges = (step.edge(source) for step in steps if source in before[step.id])
    return tuple(edge.when for edge in edges if edge.when is not None)


def _mapper_from(source: StepDefinition, step: StepDefinition, branches: Sequence[str]) -> RunStep:
    """On one edge. The default branch's condition is that none of the others holds: each was compiled alone, so none can
    end its parenthesis."""
    edge = step.edge(source.id)
    condition = f"$not({' or '.join(f'({branch})' for branch in branches)})" if edge.otherwise else edge.when
    return _mapper(
        step,
        names.mapper_id(source.id, step.id),
        edge,
        condition,
        after=(source.id,),
        replicas=source.replicas,
        prefetch=source.prefetch,
    )


def _mapper_of_errors(step: StepDefinition) -> RunStep:
    """Before the error handler, which no edge leads to."""
    edge = step.edge("")
    return _mapper(step, names.mapper_id("error", step.id), edge, edge.when, error_handler=True)


def _mapper(step: StepDefinition, mapper_id: str, edge: Edge, condition: str | None, **fed_by: Any) -> RunStep:
    """A mapper keeps pace with the step it follows and holds the same messages as the step it feeds."""
    config: dict[str, Any] = {"mapping": edge.map or "$"}
    if condition is not None:
        config["condition"] = condition
    return RunStep(
        id=mapper_id,
        kind="mapper",
        use="mapper",
        pinned="",
        function="map",
        config=config,
        memory=step.resources.memory,
        cpu=step.resources.cpu,
        visible=False,
        **fed_by,
    )


def replicas(steps: Sequence[RunStep], scale: Mapping[str, int]) -> dict[str, int]:
    """Processes per step: as published, unless `scale` says otherwise."""
    return {step.id: scale.get(_paced_by(step), step.replicas) for step in steps}


def _paced_by(step: RunStep) -> str:
    """A mapper has as many processes as the step it follows."""
    return step.after[0] if step.kind == "mapper" and step.after else step.id


def same_graph(a: FlowDefinition, b: FlowDefinition) -> bool:
    """Whether two definitions have the same visible steps, fed by the same steps, doing the same functions."""
    return _shape(a) == _shape(b)


def _shape(definition: FlowDefinition) -> set[tuple[object, ...]]:
    before = predecessors(definition.steps)
    trigger = definition.trigger.id
    return {
        (s.id, s.id == trigger, s.component, s.function, frozenset(before[s.id]), s.error_handler)
        for s in definition.steps
    }


def lost_mappers(old: FlowDefinition, new: FlowDefinition) -> list[str]:
    """Mappers that only the old one has: messages that wait for them would find nobody in the new one."""
    kept = {step.id for step in expand(new)}
    return [step.id for step in expand(old) if step.kind == "mapper" and step.id not in kept]

"""Whether the parts of a flow fit together, and fit the components they name.

Each check is a generator of problems over a definition whose shape is right already. A step whose id or `use`
was unreadable carries `UNREADABLE` there and is left out of what cannot be said about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from nomadflows.model import mapping, schedule
from nomadflows.model.component import ComponentVersion
from nomadflows.model.flow import Edge, FlowDefinition, StepDefinition
from nomadflows.model.graph import ancestors, conditions, cycles, predecessors
from nomadflows.model.names import VARIABLE
from nomadflows.model.problems import Path, Problem, choices, shown, unknown
from nomadflows.model.states import Kind

UNREADABLE: Final = "?"

# The versions of a component, first the one that a step gets which names none; none when there is no such component.
Components = Callable[[str], Sequence[ComponentVersion]] | Mapping[str, Sequence[ComponentVersion]]


def check(definition: FlowDefinition, components: Components | None = None) -> Iterator[Problem]:
    """Everything that is wrong with a definition; without components, what can be said without them."""
    yield from _schedule(definition)
    yield from _variables(definition)
    yield from _ids(definition.steps)
    yield from _first_step(definition.steps[0])
    yield from _error_handlers(definition.steps)
    yield from _scaling(definition.steps)
    yield from _edges(definition.steps)
    for index, step in enumerate(definition.steps):
        yield from _expressions(("steps", index), step)
        yield from _secret_env(("steps", index, "secret_env"), step)
        for source, edge in step.edges.items():
            yield from _expressions(("steps", index, "edges", source), edge)
    if components is not None:
        yield from _uses(definition, components)


def _schedule(definition: FlowDefinition) -> Iterator[Problem]:
    realtime = definition.kind is Kind.REALTIME
    if definition.schedule is not None:
        try:
            schedule.check(definition.schedule, seconds=realtime)
        except schedule.ScheduleError as error:
            yield Problem(("schedule",), error.message)
    try:
        schedule.zone(definition.timezone)
    except schedule.ScheduleError as error:
        yield Problem(("timezone",), error.message)
    if realtime and definition.jitter is not None and definition.schedule is None:
        yield Problem(("jitter",), "it polls without pause; allowed: jitter in a flow with a schedule")
    if realtime and "idle_after" in definition.model_fields_set:
        yield Problem(("idle_after",), "a realtime flow never sleeps; allowed: idle_after in an ordinary flow")


def _variables(definition: FlowDefinition) -> Iterator[Problem]:
    for name in definition.variables:
        if not VARIABLE.fullmatch(name):
            message = f"{shown(name)} is no name of a variable; allowed: 1 to 63 letters, digits and _, first no digit"
            yield Problem(("variables", name), message)


def _ids(steps: Sequence[StepDefinition]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        if step.id.startswith(UNREADABLE):
            continue
        if step.id in first:
            yield Problem(
                ("steps", index, "id"),
                f"{step.id!r} is the id of steps[{first[step.id]}] already; allowed: an id of its own",
            )
        first.setdefault(step.id, index)


def _first_step(step: StepDefinition) -> Iterator[Problem]:
    path: Path = ("steps", 0)
    if step.after is not None:
        yield Problem((*path, "after"), "the first step is the trigger; allowed: nothing before it")
    if step.map is not None:
        yield Problem(
            (*path, "map"), "the first step is the trigger and has no input to map; allowed: map in later steps"
        )
    if step.when is not None:
        yield Problem((*path, "when"), "the first step is the trigger and has no input; allowed: when in later steps")
    if step.otherwise:
        yield Problem((*path, "otherwise"), "the first step is the trigger and has no input; allowed: in later steps")
    if step.edges:
        yield Problem((*path, "edges"), "the first step is the trigger; allowed: nothing before it")
    if step.error_handler:
        yield Problem((*path, "error_handler"), "the first step is the trigger; allowed: an action as error handler")


def _scaling(steps: Sequence[StepDefinition]) -> Iterator[Problem]:
    for index, step in enumerate(steps):
        if step.autoscale is None:
            continue
        if step.autoscale.max < step.autoscale.min:
            problem = f"max {step.autoscale.max} is below min {step.autoscale.min}; allowed: {step.autoscale.min} to 20"
            yield Problem(("steps", index, "autoscale", "max"), problem)
        if "replicas" in step.model_fields_set:
            yield Problem(
                ("steps", index, "replicas"), "autoscale decides the number of processes; allowed: one of the two"
            )
        if index == 0:
            yield Problem(("steps", 0, "autoscale"), "a trigger is not scaled; allowed: on the steps after it")


def _error_handlers(steps: Sequence[StepDefinition]) -> Iterator[Problem]:
    handlers = [(index, step) for index, step in enumerate(steps) if index and step.error_handler]
    for index, step in handlers:
        if step.after is not None:
            yield Problem(("steps", index, "after"), "an error handler gets errors, not output; allowed: no after")
        if step.edges:
            yield Problem(("steps", index, "edges"), "an error handler gets errors, not output; allowed: no edges")
    for index, _ in handlers[1:]:
        first_index, first = handlers[0]
        yield Problem(
            ("steps", index, "error_handler"),
            f"a second error handler, the first is {first.id!r} (steps[{first_index}]); allowed: one in a flow",
        )


def _edges(steps: Sequence[StepDefinition]) -> Iterator[Problem]:
    before = predecessors(steps)
    index_of = {step.id: index for index, step in reversed(list(enumerate(steps)))}
    handlers = {step.id for step in steps if step.error_handler}
    feeding = [step.id for step in steps if step.id not in handlers and not step.id.startswith(UNREADABLE)]
    for index, step in enumerate(steps):
        yield from _after(("steps", index, "after"), step, set(before), handlers, feeding)
    if len(before) < len(steps):
        return  # two steps of one id: which of them an edge means cannot be said
    for index, step in enumerate(steps):
        for source in step.edges if index and not step.error_handler else ():
            if source not in before[step.id]:
                yield Problem(
                    ("steps", index, "edges", source), unknown("it gets nothing from", source, before[step.id])
                )
    yield from _defaults(steps, before)
    away = "allowed: steps that lead away from the trigger"
    knots = list(cycles(before))
    for knot in knots:
        at = min(index_of[step] for step in knot)
        yield Problem(
            ("steps", at, "after"),
            f"{' → '.join([*knot, knot[0]])} is a cycle; {away}",
        )
    on_cycle = {step for knot in knots for step in knot}
    for index, step in enumerate(steps):
        reached_by = ancestors(before, step.id)
        if reached_by & on_cycle and step.id not in reached_by and steps[0].id not in reached_by:
            yield Problem(
                ("steps", index), f"no message reaches {step.id!r}: nothing leads to it from the trigger; {away}"
            )


def _defaults(steps: Sequence[StepDefinition], before: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """`otherwise`: beside conditions, and once after each step."""
    taken: dict[str, str] = {}
    for index, step in enumerate(steps[1:], 1):
        yield from _own_defaults(("steps", index), step)
        for source in before[step.id]:
            path: Path = ("steps", index, *(("edges", source) if source in step.edges else ()), "otherwise")
            if not step.edge(source).otherwise:
                continue
            if source in taken:
                yield Problem(path, f"{taken[source]!r} is the default after {source!r} already; allowed: one default")
            elif not conditions(steps, before, source):
                yield Problem(
                    path, f"no other step after {source!r} has a condition; allowed: beside steps with `when`"
                )
            taken.setdefault(source, step.id)


def _own_defaults(path: Path, step: StepDefinition) -> Iterator[Problem]:
    if step.error_handler and step.otherwise:
        problem = "an error handler gets every error; allowed: on a step after another"
        yield Problem((*path, "otherwise"), problem)
    for at, edge in ((path, step.edge("")), *(((*path, "edges", name), edge) for name, edge in step.edges.items())):
        if edge.otherwise and edge.when is not None and not step.error_handler:
            problem = "a step has a condition of its own or takes what is left; allowed: when or otherwise"
            yield Problem((*at, "otherwise"), problem)


def _after(
    path: Path, step: StepDefinition, known: set[str], handlers: set[str], feeding: list[str]
) -> Iterator[Problem]:
    others = [name for name in feeding if name != step.id]
    for position, source in enumerate(step.after or ()):
        at = (*path, position)
        if source not in known:
            yield Problem(at, unknown("there is no step", source, others))
        elif source in handlers:
            yield Problem(at, f"{source!r} is the error handler, nothing follows it; {choices(others)}")
        elif source in (step.after or ())[:position]:
            yield Problem(at, f"{source!r} is named twice; allowed: each step once")


def _expressions(path: Path, step: StepDefinition | Edge) -> Iterator[Problem]:
    if step.map:
        for error in mapping.check(step.map):
            leaf = _leaf(step.map, error.path)
            yield Problem((*path, "map", *error.path), _jsonata(error), _line_offset(leaf, error.position))
    elif step.map == "":
        yield Problem((*path, "map"), "the expression is empty; allowed: a JSONata expression, or no map")
    if step.when is not None:
        for error in mapping.check_expression(step.when):
            yield Problem((*path, "when"), _jsonata(error), _line_offset(step.when, error.position))


def _secret_env(path: Path, step: StepDefinition) -> Iterator[Problem]:
    if step.secret_env and step.credential is None:
        yield Problem(path, "its values are members of the step's credential; allowed: beside credential")
    for name in step.secret_env.keys() & step.env.keys():
        yield Problem((*path, name), "stands in env too; allowed: one of the two")


def _jsonata(error: mapping.MappingError) -> str:
    return f"{error.problem}; allowed: a JSONata expression"


def _leaf(node: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        node = node[part]
    return node


def _line_offset(text: object, position: int | None) -> int:
    return text[: position or 0].count("\n") if isinstance(text, str) else 0


def _uses(definition: FlowDefinition, components: Components) -> Iterator[Problem]:
    """What the components say: which functions there are, which settings they take, which of them are triggers."""
    found: dict[int, ComponentVersion] = {}
    for index, step in enumerate(definition.steps):
        if step.use == UNREADABLE:
            continue
        version, problem = _resolve(step, components)
        if problem is not None:
            yield Problem(("steps", index, "use"), problem)
        if version is not None:
            found[index] = version
            yield from _settings(("steps", index), step, version)
            yield from _credential(("steps", index), step, version)
            yield from _environment(("steps", index), step, version)
    yield from _triggers(definition, found)


def _resolve(step: StepDefinition, components: Components) -> tuple[ComponentVersion | None, str | None]:
    """The version a step would run with today, or why there is none."""
    by_name = isinstance(components, Mapping)
    versions = components.get(step.component, ()) if by_name else components(step.component)  # type: ignore[union-attr,operator]
    if not versions:
        return None, _no_component(step.component, sorted(components) if isinstance(components, Mapping) else [])
    chosen = next((v for v in versions if step.version in {"", v.version}), None)
    if chosen is None:
        return None, unknown(
            f"component {step.component!r} has no version", step.version, [v.version for v in versions]
        )
    if step.function not in chosen.functions():
        return None, unknown(f"{chosen.ref} has no function", step.function, sorted(chosen.functions()))
    return chosen, None


def _no_component(name: str, known: list[str]) -> str:
    if known:
        return unknown("there is no component", name, known)
    return f"there is no component {name!r}; allowed: a built-in or deployed component"


def _settings(path: Path, step: StepDefinition, version: ComponentVersion) -> Iterator[Problem]:
    fields: dict[str, Any] = version.entry(step.function).get("fields") or {}
    for name in step.with_:
        if name not in fields:
            yield Problem((*path, "with", name), unknown(f"{step.use} has no setting", name, sorted(fields)))
        elif (problem := _not_a_choice(fields[name], step.with_[name])) is not None:
            yield Problem((*path, "with", name), problem)
    for name, field in fields.items():
        if field.get("required") is True and step.with_.get(name) in (None, ""):
            label = f" ({field['label']})" if field.get("label") else ""
            yield Problem((*path, "with"), f"{step.use} needs the setting {name!r}{label}; {choices(sorted(fields))}")


def relative_paths(definition: FlowDefinition, components: Components) -> Iterator[tuple[int, str, str]]:
    """Settings that are paths (`"type": "path"` in the descriptor) and begin nowhere: step, setting, value."""
    for index, step in enumerate(definition.steps):
        version, _ = _resolve(step, components)
        fields: dict[str, Any] = (version.entry(step.function).get("fields") or {}) if version else {}
        for name, field in fields.items():
            value = step.with_.get(name)
            if field.get("type") == "path" and isinstance(value, str) and not value.startswith(("/", "~")):
                yield index, name, value


def _not_a_choice(field: Mapping[str, Any], value: object) -> str | None:
    """Why the value is none of a fixed list (SelectView) or no yes-or-no (CheckBoxView)."""
    view, model = field.get("viewClass"), field.get("model")
    if view == "SelectView" and isinstance(model, dict) and (not isinstance(value, str) or value not in model):
        return unknown("there is no choice", str(value), list(model)) if isinstance(value, str) else choices(model)
    if view == "CheckBoxView" and not isinstance(value, bool):
        return "not a yes or no; allowed: true, false"
    return None


def _credential(path: Path, step: StepDefinition, version: ComponentVersion) -> Iterator[Problem]:
    described = version.descriptor.get("credentials")
    if described is None:
        if step.credential is not None:
            yield Problem((*path, "credential"), f"component {version.name!r} takes no credential; allowed: none")
        return
    fields: dict[str, Any] = described.get("fields") or {}
    # Which fields belong together is the component's to verify; that it has any means that it wants a credential.
    if step.credential is None and fields and described.get("required") is not False:
        yield Problem(
            (*path, "credential"),
            f"component {version.name!r} needs a credential; allowed: the name of one, with the fields {', '.join(fields)}",
        )


def _environment(path: Path, step: StepDefinition, version: ComponentVersion) -> Iterator[Problem]:
    """An image may bring its own values, so nothing can be said of it."""
    described = version.descriptor.get("envVars")
    for name, about in described.items() if isinstance(described, dict) and not version.image else ():
        if (
            isinstance(about, dict)
            and about.get("required") is True
            and not step.env.get(name)
            and name not in step.secret_env
        ):
            yield Problem(
                (*path, "env"),
                f"component {version.name!r} needs the variable {name!r}; allowed: env or secret_env with it",
            )


def _triggers(definition: FlowDefinition, found: Mapping[int, ComponentVersion]) -> Iterator[Problem]:
    first_trigger: StepDefinition | None = None
    for index, version in sorted(found.items()):
        step = definition.steps[index]
        path: Path = ("steps", index, "use")
        is_trigger = version.functions()[step.function] == "trigger"
        if index == 0:
            if not is_trigger:
                yield Problem(path, _needs_trigger(step, version))
            elif version.is_polling(step.function):
                yield from _at_once(step)
            elif definition.schedule is not None:
                yield Problem(("schedule",), f"{step.use} is not polled; allowed: a schedule with a polling trigger")
        elif is_trigger and first_trigger is not None:
            yield Problem(
                path, f"{step.use} is a second trigger, the first is {first_trigger.id!r}; allowed: one in a flow"
            )
        elif is_trigger:
            yield Problem(path, f"{step.use} is a trigger; allowed: the trigger as first step, actions after it")
        if is_trigger and first_trigger is None:
            first_trigger = step


def _at_once(step: StepDefinition) -> Iterator[Problem]:
    """A polling trigger makes one call after the other."""
    why = f"{step.use} remembers what it has read, two would read it twice; allowed: 1"
    if step.replicas > 1:
        yield Problem(("steps", 0, "replicas"), why)
    if step.prefetch > 1:
        yield Problem(("steps", 0, "prefetch"), why)


def _needs_trigger(step: StepDefinition, version: ComponentVersion) -> str:
    triggers = [f"{version.name}:{name}" for name, kind in version.functions().items() if kind == "trigger"]
    allowed = ", ".join(triggers) if triggers else "a trigger of another component"
    return f"{step.use} is an action, and a flow begins with a trigger; allowed: {allowed}"

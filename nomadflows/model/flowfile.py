"""A flow file: YAML (or JSON) text → a definition, or everything that is wrong with it, line by line.

Reads text that is given to it; opens no file. What a field may hold is in `flow`, what fits together in `flowcheck`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from nomadflows.model import flowcheck
from nomadflows.model.errors import InputError
from nomadflows.model.flow import FlowDefinition, StepDefinition
from nomadflows.model.flowcheck import UNREADABLE, Components
from nomadflows.model.problems import Path, Problem, shape_problems, shown
from nomadflows.model.yamltree import MAX_DEPTH, Node, YamlError, parse_yaml

_MOST_SHOWN: Final = 50


class FlowFileError(InputError):
    """What is wrong with a flow file: one line for each problem, `file:line: field: what; allowed: what`."""

    def __init__(self, filename: str, problems: Sequence[tuple[int, Problem]]) -> None:
        self.filename = filename
        self.problems = tuple(sorted(problems, key=lambda found: found[0]))
        lines = [f"{filename}:{line}: {problem}" for line, problem in self.problems[:_MOST_SHOWN]]
        if (more := len(self.problems) - _MOST_SHOWN) > 0:
            lines.append(f"{filename}: and {more} more")
        super().__init__("\n".join(lines))


def parse_flow_file(text: str, filename: str, components: Components | None = None) -> FlowDefinition:
    """The definition in a flow file. FlowFileError with all its problems if it is not one.

    Without components their names, functions, settings and credentials are not checked.
    """
    try:
        tree = parse_yaml(text)
    except YamlError as error:
        raise FlowFileError(filename, [(error.line, Problem((), error.message))]) from error
    data = tree.value
    if not isinstance(data, dict):
        found = "the file is empty" if data is None else f"the file holds {shown(data)}"
        raise FlowFileError(filename, [(tree.line, Problem((), f"{found}; allowed: a mapping with flow and steps"))])
    definition, problems = examine(data, components)
    if definition is None:
        raise FlowFileError(filename, [(_line(tree, problem), _as_written(tree, problem)) for problem in problems])
    return definition


def examine(data: dict[str, Any], components: Components | None = None) -> tuple[FlowDefinition | None, list[Problem]]:
    """What a flow file holds, read already: the definition, or everything that is wrong with it."""
    if _levels_beyond(data, MAX_DEPTH):
        return None, [Problem((), f"nested more than {MAX_DEPTH} deep")]
    definition, problems = _read(data)
    if definition is not None:
        problems += flowcheck.check(definition, components)
    return (None if problems else definition), problems


def _levels_beyond(data: object, most: int) -> bool:
    """Whether something lies deeper than a flow file may nest, so that what is stored can be exported as one."""
    level: list[Any] = [data]
    for _ in range(most):
        containers = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [item for one in containers for item in one]
    return bool(level)


def _read(data: dict[str, Any]) -> tuple[FlowDefinition | None, list[Problem]]:
    """The definition and what is wrong with its shape. With faults: what is left without the faulty fields, so that
    the rest is checked too; None when that is no flow."""
    try:
        return FlowDefinition.model_validate(data), []
    except ValidationError as error:
        problems = list(shape_problems(FlowDefinition, error, data))
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps or any(problem.path == ("steps",) for problem in problems):
        return None, problems
    faulty = {problem.path[:1] for problem in problems} | {problem.path[:3] for problem in problems}
    if ("kind",) in faulty:  # without it nothing can be said about these
        faulty |= {("schedule",), ("jitter",), ("idle_after",)}
    top = {key: value for key, value in data.items() if (key,) not in faulty and key != "steps"}
    readable = tuple(_readable_step(index, step, faulty) for index, step in enumerate(steps))
    known = FlowDefinition.model_validate({"flow": "x", **top, "steps": [{"id": "x", "use": "x:x"}]})
    return known.model_copy(update={"steps": readable}), problems


def _readable_step(index: int, data: object, faulty: set[Path]) -> StepDefinition:
    """The step without its faulty fields; `UNREADABLE` where it has no id or no `use`."""
    fields = data if isinstance(data, dict) else {}
    good = {key: value for key, value in fields.items() if ("steps", index, key) not in faulty}
    step = StepDefinition.model_validate({"id": "x", "use": "x:x", **good})
    missing = {"id": f"{UNREADABLE}{index}", "use": UNREADABLE}
    return step.model_copy(update={key: value for key, value in missing.items() if key not in good})


def _line(tree: Node, problem: Problem) -> int:
    line = tree.line_of(problem.path)
    node = tree.find(problem.path)
    if node is not None and node.block:  # a text of several lines: the very line within it
        return node.line + 1 + problem.line_offset
    return line


def _as_written(tree: Node, problem: Problem) -> Problem:
    """`after: x` and `after: [x]` mean the same; the path names what is in the file."""
    if problem.path and isinstance(problem.path[-1], int) and tree.find(problem.path) is None:
        return Problem(problem.path[:-1], problem.message, problem.line_offset)
    return problem

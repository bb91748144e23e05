"""JSONata: the one place that knows the engine (jlens).

Used where a flow file is checked and, at run time, by the mapper and the jsonata component, which start in
milliseconds: so nothing heavy is imported here. It knows nothing of flows, steps or messages' headers.

A mapping is a JSONata expression, or a nested object (or list) whose texts are expressions and whose numbers,
booleans and nulls stand for themselves. A nested mapping becomes *one* expression, so that a body is read
once, and so that what is missing in the body is missing in the result while a null stays a null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import jlens

from nomadflows.model.errors import InputError

Body = dict[str, Any]

# What one evaluation may use before it is ended: a mapping must never take a step process down with it.
LIMITS: Final[dict[str, Any]] = {
    "timeout": 20.0,
    "max_array_length": 1_000_000,
    "max_string_length": 10_485_760,
    "max_result_size": 10_485_760,
}
BINDABLE: Final = ("getPassthrough", "getFlowVariables", "moment")
MAX_DEPTH: Final = 20

# For "did you mean" only; what exists is the engine's to say.
_BUILT_IN: Final = re.findall(
    r"\w+",
    """
    abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl
    decodeUrlComponent distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase
    formatInteger formatNumber fromMillis join keys length lookup lowercase map match max merge millis min not now
    number pad parseInteger power random reduce replace reverse round shuffle sift single sort split spread sqrt
    string substring substringAfter substringBefore sum toMillis trim type uppercase zip
    """,
)


class MappingError(InputError):
    """An expression does not parse, or failed on a body. `path` leads to the expression within the mapping."""

    def __init__(self, problem: str, *, path: tuple[str | int, ...] = (), position: int | None = None) -> None:
        super().__init__(f"{_dotted(path)}: {problem}" if path else problem)
        self.problem = problem
        self.path = path
        self.position = position  # characters into the expression, from 0


def check(mapping: object) -> Iterator[MappingError]:
    """Everything that is wrong with a mapping, expression by expression."""
    if isinstance(mapping, str):
        yield from check_expression(mapping)
        return
    for path, leaf in _leaves(mapping, ()):
        if isinstance(leaf, MappingError):
            yield leaf
        elif isinstance(leaf, str):
            for error in check_expression(leaf):
                yield MappingError(error.problem, path=path, position=error.position)


def check_expression(source: str) -> Iterator[MappingError]:
    """What is wrong with one expression: its syntax, and names that nothing defines."""
    if not source.strip():
        yield MappingError("the expression is empty; an empty text is written '\"\"'", position=0)
        return
    try:
        reads = _compile(source).reads()
    except MappingError as error:
        yield error
        return
    for name in sorted(set(reads["bindings"]) - set(BINDABLE)):
        if "moment" in reads["bindings"] and f"${name}" not in source and _is_date_method(name):
            continue  # `$moment().add(…)`: the engine counts a called member among the names
        at = max(source.find(f"${name}"), 0)
        yield MappingError(f"${name} is not defined{_did_you_mean(name)} {_where(source, at)}", position=at)


class Expression:
    """A compiled mapping or condition; evaluate it as often as you like, from any thread."""

    def __init__(self, mapping: object) -> None:
        self._spans: list[tuple[int, int, tuple[str | int, ...]]] = []
        for error in check(mapping):
            raise error
        self.source = mapping if isinstance(mapping, str) else self._join(mapping)
        self._identity = self.source.strip() == "$"
        self._compiled = _compile(self.source)
        reads = self._compiled.reads()
        self._needs = BINDABLE if reads.get("everyBinding") else tuple(n for n in BINDABLE if n in reads["bindings"])
        self._functions: Mapping[str, Callable[..., Any]] = {}
        self._finish: Callable[[Any], Any] | None = None  # what is still to be done with a result
        self._shift = 0  # characters before the source in what is compiled
        if "moment" in self._needs:
            from nomadflows.model import moment  # late: most mappings have no dates

            self._functions = moment.BINDINGS
            prelude = moment.prelude(self.source)
            self._compiled = _compile(f"{prelude}{self.source})")
            self._shift = len(prelude)
            self._finish = moment.written_out

    def value(
        self,
        body: object,
        *,
        passthrough: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the expression makes of a body; None for null and for nothing. MappingError when it fails."""
        if self._identity:
            return body
        bindings = self._bindings(passthrough, variables)
        try:
            found = self._compiled.evaluate(body, bindings, **LIMITS)
            return self._finish(found) if self._finish else found
        except jlens.JlensError as error:
            raise self._located(error) from error
        except (ValueError, TypeError, OverflowError) as error:  # of `$moment`'s functions
            raise MappingError(str(error)) from error

    def _bindings(
        self, passthrough: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
    ) -> dict[str, Callable[..., Any]] | None:
        if not self._needs:
            return None
        known = {"getPassthrough": dict(passthrough or {}), "getFlowVariables": dict(variables or {})}
        bound = dict(self._functions)
        for name in self._needs:
            if name in known:
                bound[name] = lambda name=name: known[name]
        return bound

    def _join(self, mapping: object) -> str:
        """One expression out of many, remembering which characters came from where."""
        parts: list[str] = []
        length = 0

        def put(text: str) -> None:
            nonlocal length
            parts.append(text)
            length += len(text)

        def walk(node: object, path: tuple[str | int, ...]) -> None:
            if isinstance(node, str):
                put("(")
                self._spans.append((length, length + len(node), path))
                put(node + ")")  # each expression was compiled alone before, so it cannot end the parenthesis
            elif isinstance(node, dict):
                put("{")
                for index, (key, child) in enumerate(node.items()):
                    put(f"{', ' if index else ''}{json.dumps(key)}: ")
                    walk(child, (*path, key))
                put("}")
            elif isinstance(node, list):
                put("[")
                for index, child in enumerate(node):
                    put(", " if index else "")
                    walk(child, (*path, index))
                put("]")
            else:
                put(json.dumps(node))

        walk(mapping, ())
        return "".join(parts)

    def _located(self, error: jlens.JlensError) -> MappingError:
        """Says which of the joined expressions failed, and where in it."""
        message = str(error).rstrip(". ")
        if error.position is None or error.position < self._shift:
            return MappingError(message)
        position = error.position - self._shift
        for start, end, path in self._spans:
            if start <= position <= end:
                at = position - start
                return MappingError(f"{message} {_where(self.source[start:end], at)}", path=path, position=at)
        return MappingError(f"{message} {_where(self.source, position)}", position=position)


def _compile(source: str) -> jlens.Expression:
    try:
        return jlens.Expression(source)
    except jlens.JlensError as error:
        at = error.position if error.start is None else error.start
        where = f" {_where(source, at)}" if at is not None else ""
        raise MappingError(f"{str(error).rstrip('. ')}{where}", position=at) from error


_BOOLEAN: Final = _compile("$boolean(v)")


def as_body(result: object) -> Body:
    """A mapping's result as the body of a message; MappingError for anything but an object."""
    if not isinstance(result, dict):
        raise MappingError(f"the mapping gives {_kind(result)}; a message body is an object")
    return result


def is_true(result: object) -> bool:
    """A condition's result, by JSONata's own rules ($boolean): nothing, null, 0, "" and [] are false."""
    return _BOOLEAN.evaluate({"v": result}) is True


def _is_date_method(name: str) -> bool:
    from nomadflows.model import moment

    return name in moment.METHODS


def _did_you_mean(name: str) -> str:
    import difflib  # late: a step process has no use for it

    close = difflib.get_close_matches(name, [*_BUILT_IN, *BINDABLE], n=1)
    return f"; did you mean ${close[0]}?" if close else ""


def _leaves(node: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if len(path) > MAX_DEPTH:
        yield path, MappingError(f"nested more than {MAX_DEPTH} deep", path=path)
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _leaves(child, (*path, index))
    else:
        yield path, node


def _where(source: str, position: int) -> str:
    """`(column 7)`, or with the line when the expression has several."""
    before = source[:position]
    column = position - (before.rfind("\n") + 1) + 1
    return f"(line {before.count(chr(10)) + 1}, column {column})" if "\n" in source else f"(column {column})"


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, list):
        return "an array"
    return "a text" if isinstance(value, str) else "a number"

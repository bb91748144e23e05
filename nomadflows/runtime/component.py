"""Finding a component's code: descriptor, module, function, hooks. Knows nothing of messages."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, Final

from nomadflows.artifact.needs import VARIABLE as NEEDS
from nomadflows.artifact.needs import python_here, refusal

Json = dict[str, Any]

_PACKAGES: Final = "_packages"  # what `component deploy` installed of its requirements.txt
_ARGUMENTS: Final = 3  # message, config, snapshot
_VAR_POSITIONAL: Final = 0x04  # flags of a code object, as `inspect` names them; importing it costs 5 ms
_COROUTINE: Final = 0x80
_ASYNC_GENERATOR: Final = 0x200


class ComponentError(Exception):
    """The folder does not hold what the descriptor promises."""


class Module:
    """A component's module, whose functions may be coroutines."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def call(self, name: str, *arguments: Any) -> Any:
        """ComponentError if it has no such function."""
        function = getattr(self._module, name, None) if name else None
        if not callable(function):
            raise ComponentError(f"module {self._module.__name__!r} has no function {name!r}")
        code = _code(function)
        if code and code.co_flags & _COROUTINE:
            import asyncio

            return asyncio.run(function(*arguments))
        return function(*arguments)

    def has(self, name: str) -> bool:
        return callable(getattr(self._module, name, None))


class Component:
    """One trigger or action, loaded."""

    def __init__(self, module: ModuleType, process: Callable[..., Any], entry: Json) -> None:
        """`entry`: what its descriptor says of it."""
        self.module = Module(module)
        self.process = process
        self.resolves_objects = entry.get("autoResolveObjectReferences") is not False
        code = _code(process)
        flags = code.co_flags if code else 0
        self.takes_context = bool(code and code.co_argcount > _ARGUMENTS) or bool(flags & _VAR_POSITIONAL)
        self.is_async = bool(flags & (_COROUTINE | _ASYNC_GENERATOR))

    def run_hook(self, name: str, *arguments: Any) -> Any:
        """`startup`, `init` or `shutdown`: what it returns; None if the module has none."""
        return self.module.call(name, *arguments) if self.module.has(name) else None


def _code(function: Callable[..., Any]) -> CodeType | None:
    """Through decorators that say what they wrap."""
    while wrapped := getattr(function, "__wrapped__", None):
        function = wrapped
    found = getattr(function, "__code__", None)
    return found if isinstance(found, CodeType) else None


def load(folder: str, function: str) -> Component:
    """ComponentError says what is missing; an error inside the component's module is raised as it is."""
    root = os.path.abspath(folder)  # noqa: PTH100 - pathlib would be imported for this alone
    entry = _entry(root, function)
    path, _, attribute = str(entry["main"]).partition(":")
    name, attribute = _module_name(path), attribute or "process"
    module = _import(root, name, repr(function))
    process = getattr(module, attribute, None)
    if not callable(process):
        raise ComponentError(f"module {name!r} of {root} has no function {attribute!r}")
    return Component(module, process, entry)


def load_verifier(folder: str) -> Module | None:
    """The module that checks credentials; None if the descriptor names none."""
    root = os.path.abspath(folder)  # noqa: PTH100 - as above
    path = (_descriptor(root).get("credentials") or {}).get("verifier")
    return Module(_import(root, _module_name(str(path)), "the verifier")) if path else None


def _import(root: str, name: str, whose: str) -> ModuleType:
    if problem := refusal(os.environ.get(NEEDS, ""), python_here()):
        raise ComponentError(problem)
    if root not in sys.path:
        sys.path.insert(0, root)
        if os.path.isdir(f"{root}/{_PACKAGES}"):  # noqa: PTH112
            sys.path.insert(1, f"{root}/{_PACKAGES}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {name, name.partition(".")[0]}:
            raise
        raise ComponentError(f"{root} has no module {name!r}, which component.json names for {whose}") from error


def _descriptor(root: str) -> Json:
    try:
        with open(f"{root}/component.json", encoding="utf-8") as file:  # noqa: PTH123
            descriptor: Json = json.load(file)
    except FileNotFoundError as error:
        raise ComponentError(f"{root} has no component.json") from error
    except ValueError as error:
        raise ComponentError(f"component.json of {root} is not JSON: {error}") from error
    return descriptor


def _entry(root: str, function: str) -> Json:
    """What the descriptor says of a function; its `main` is `./lib/orders.py`, `lib.orders` or `orders.py:fetch`."""
    descriptor = _descriptor(root)
    entry: Json | None = descriptor.get("triggers", {}).get(function) or descriptor.get("actions", {}).get(function)
    if not entry or not entry.get("main"):
        known = ", ".join([*descriptor.get("triggers", {}), *descriptor.get("actions", {})])
        raise ComponentError(f"component.json of {root} has no trigger or action {function!r}; it has: {known}")
    return entry


def _module_name(path: str) -> str:
    return path.removeprefix("./").removesuffix(".py").replace("/", ".")

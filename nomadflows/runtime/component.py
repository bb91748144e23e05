"""Finding a component's code: descriptor, module, function, hooks. Knows nothing of messages."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

Json = dict[str, Any]

_ARGUMENTS: Final = 3  # message, config, snapshot


class ComponentError(Exception):
    """The folder does not hold what the descriptor promises."""


class Component:
    """One trigger or action, loaded."""

    def __init__(self, module: ModuleType, process: Callable[..., Any]) -> None:
        self._module = module
        self.process = process
        parameters = list(inspect.signature(process).parameters.values())
        self.takes_context = len(parameters) > _ARGUMENTS or any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.is_async = inspect.iscoroutinefunction(process) or inspect.isasyncgenfunction(process)

    def hook(self, name: str) -> Callable[..., Any] | None:
        """`startup`, `init` or `shutdown`, if the module has it."""
        found = getattr(self._module, name, None)
        return found if callable(found) else None

    def run_hook(self, name: str, *arguments: Any) -> Any:
        """What the hook returns; None without one."""
        hook = self.hook(name)
        if hook is None:
            return None
        result = hook(*arguments)
        if inspect.iscoroutine(result):
            import asyncio

            return asyncio.run(result)
        return result


def load(folder: str, function: str) -> Component:
    """ComponentError says what is missing; an error inside the component's module is raised as it is."""
    root = Path(folder).absolute()
    name, attribute = _main(root, function)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise
        raise ComponentError(f"{root} has no module {name!r}, which component.json names for {function!r}") from error
    process = getattr(module, attribute, None)
    if not callable(process):
        raise ComponentError(f"module {name!r} of {root} has no function {attribute!r}")
    return Component(module, process)


def _main(root: Path, function: str) -> tuple[str, str]:
    """`./lib/orders.py`, `lib.orders` or `orders.py:fetch` → module name and function name."""
    try:
        descriptor: Json = json.loads((root / "component.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ComponentError(f"{root} has no component.json") from error
    except ValueError as error:
        raise ComponentError(f"{root / 'component.json'} is not JSON: {error}") from error
    entry = descriptor.get("triggers", {}).get(function) or descriptor.get("actions", {}).get(function)
    if not entry or not entry.get("main"):
        known = ", ".join([*descriptor.get("triggers", {}), *descriptor.get("actions", {})])
        raise ComponentError(f"component.json of {root} has no trigger or action {function!r}; it has: {known}")
    path, _, attribute = str(entry["main"]).partition(":")
    module = path.removeprefix("./").removesuffix(".py").replace("/", ".")
    return module, attribute or "process"

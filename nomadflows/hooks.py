"""Which functions of an installed component have a start-up or shutdown hook.

Python's are read from the source. Node's modules are loaded by Node, as a step would, since an export may be made in
any way; one that cannot be loaded so counts as having them, which costs its flows a job at each stop and no more.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nomadflows.inherited import for_strangers
from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import files_of_main

HOOKS: Final = frozenset({"startup", "shutdown"})
_LOAD_S: Final = 20.0
_PROBE: Final = """
const found = {};
for (const [name, main] of Object.entries(JSON.parse(process.argv[1]))) {
    try { const m = require(require('path').join(process.cwd(), main)); found[name] = !!(m.startup || m.shutdown); }
    catch (error) { found[name] = true; }
}
require('fs').writeSync(1, '\\n' + JSON.stringify(found));
process.exit(0);
"""


def functions_with_hooks(component: ComponentVersion, folder: Path, node: str = "node") -> list[str]:
    """Triggers only: a flow's first step alone has its hooks run."""
    mains = {
        name: str(component.entry(name)["main"]) for name, kind in component.functions().items() if kind == "trigger"
    }
    if component.language == "node":
        return _by_node(mains, folder, node) if mains else []
    return [name for name, main in mains.items() if HOOKS & set(_top_level(main, folder))]


def _by_node(mains: dict[str, str], folder: Path, node: str) -> list[str]:
    try:
        done = subprocess.run(  # noqa: S603 - the command is a setting
            [node, "-e", _PROBE, json.dumps(mains)],
            cwd=folder, env=for_strangers(), capture_output=True, text=True, timeout=_LOAD_S, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return sorted(mains)
    return sorted(name for name, has in found.items() if has)


def _top_level(main: str, folder: Path) -> Iterator[str]:
    """Names a module defines or imports at its top."""
    file = next((folder / path for path in files_of_main(main, "python") if (folder / path).is_file()), None)
    for node in ast.parse(file.read_bytes()).body if file else ():
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                yield from (alias.asname or alias.name for alias in names)

"""What a component needs besides its own files, resolved once at deploy: npm's packages, or Python's wheels.

A step that starts then talks to no registry. Knows npm, uv and pip as programs, and no server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nomadflows.inherited import for_strangers
from nomadflows.model.descriptor import SAILOR
from nomadflows.model.errors import InputError, NomadflowsError


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A Python of Linux that is not on this machine, for which packages are chosen."""

    version: str  # as 3.11
    machine: str  # as x86_64


PACKAGES: Final = "_packages"  # the Python step process looks there too
REQUIREMENTS: Final = "requirements.txt"
_INSTALL_S: Final = 600.0
_LINES_TOLD: Final = 15


def is_locked(folder: Path) -> bool:
    """Whether it is written down which versions of packages npm is to install."""
    return any((folder / name).is_file() for name in ("package-lock.json", "npm-shrinkwrap.json"))


def install_node(folder: Path) -> str:
    """From the lock file where there is one, so that what runs is what was tested. The version of the step library that
    is there then."""
    command = [
        "npm",
        "ci" if is_locked(folder) else "install",
        "--omit=dev",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    _run(
        command, folder, {"NODE_ENV": "production", "npm_config_update_notifier": "false"}, "npm, which comes with Node"
    )
    if not (folder / "node_modules" / SAILOR / "run.js").is_file():
        raise NomadflowsError(f"after `{' '.join(command)}` there is no node_modules/{SAILOR}/run.js")
    return str(json.loads((folder / "node_modules" / SAILOR / "package.json").read_bytes())["version"])


def install_python(folder: Path, python: str, target: Elsewhere | None = None) -> None:
    """Wheels only: building from source would run a stranger's code here, and give something else each time."""
    if not (folder / REQUIREMENTS).is_file():
        return
    if (folder / PACKAGES).exists():
        raise InputError(f"{PACKAGES} is where {REQUIREMENTS} is installed; the component may not bring its own")
    into = ["--target", PACKAGES, "--requirement", REQUIREMENTS]
    if uv := _uv():
        options = ["--quiet", "--no-build", "--link-mode", "copy", "--python", python]
        command = [uv, "pip", "install", *options, *_for_uv(target), *into]
    else:
        options = ["--quiet", "--only-binary", ":all:", "--no-compile", "--disable-pip-version-check"]
        command = [python, "-m", "pip", "install", *options, *_for_pip(target), *into]
    _run(command, folder, {}, "uv, or pip for the Python of NOMADFLOWS_STEP_PYTHON")
    shutil.rmtree(folder / PACKAGES / "bin", ignore_errors=True)  # scripts for a Python that is elsewhere on a node
    (folder / PACKAGES / ".lock").unlink(missing_ok=True)


def _for_uv(target: Elsewhere | None) -> list[str]:
    if target is None:
        return []
    return ["--python-version", target.version, "--python-platform", f"{target.machine}-manylinux_2_28"]


def _for_pip(target: Elsewhere | None) -> list[str]:
    if target is None:
        return []
    platforms = [f"--platform={age}_{target.machine}" for age in ("manylinux_2_28", "manylinux2014")]
    return ["--python-version", target.version, "--implementation", "cp", *platforms]


def node_version(node: str) -> str:
    """What `node --version` says."""
    return _asked([node, "--version"], "install Node 20 or later, or set NOMADFLOWS_STEP_NODE", "Node")


def python_version(python: str) -> str:
    """As `3.11`."""
    if python == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return _asked([python, "-c", code], "set NOMADFLOWS_STEP_PYTHON", "Python")


def node_platform(node: str) -> str:
    """As `linux-x64`."""
    return _asked([node, "-p", "process.platform + '-' + process.arch"], "set NOMADFLOWS_STEP_NODE", "Node")


def python_platform(python: str) -> str:
    """As `linux-x86_64`."""
    code = "import os; print('{0.sysname}-{0.machine}'.format(os.uname()).lower())"
    return _asked([python, "-c", code], "set NOMADFLOWS_STEP_PYTHON", "Python")


def _asked(command: Sequence[str], hint: str, what: str) -> str:
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - a setting
    except (OSError, subprocess.SubprocessError) as error:
        raise NomadflowsError(f"{what} cannot be run as {command[0]!r}: {error}", hint=hint) from error
    return found.stdout.strip()


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str], install: str) -> None:
    shown = f"`{' '.join([Path(command[0]).name, *command[1:]])}`"
    try:
        done = subprocess.run(  # noqa: S603 - the command is fixed
            command,
            cwd=folder,
            env={**for_strangers(), **variables},
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except OSError as error:
        raise NomadflowsError(f"{command[0]} cannot be run: {error}", hint=f"install {install}") from error
    except subprocess.TimeoutExpired:
        raise NomadflowsError(f"{shown} did not end within {_INSTALL_S:.0f} s") from None
    if done.returncode:
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LINES_TOLD:])
        raise NomadflowsError(f"{shown} failed:\n{told}")

"""Build a server from its pinned Go modules: `servers/<product>/go.mod` and `go.sum` fix every source."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nomadflows.builtin import data_dir
from nomadflows.devstack.release import Report


class BuildUnavailable(Exception):
    """This machine cannot build it, and why."""


@dataclass(frozen=True, slots=True)
class GoModule:
    product: str
    package: str
    tags: tuple[str, ...] = ()


_SCRATCH: Final = ".build-"

NOMAD = GoModule("nomad", "github.com/hashicorp/nomad", tags=("ui", "release"))
CONSUL = GoModule("consul", "github.com/hashicorp/consul")


def sources(product: str) -> Path:
    """The folder with the pinned go.mod."""
    return data_dir("servers") / product


def build(module: GoModule, target: Path, report: Report) -> None:
    """Compile to `target`. The first build downloads some hundred modules and takes minutes.

    The caller sees to it that only one build works in the target's folder.
    """
    go = shutil.which("go")
    if go is None:
        raise BuildUnavailable("no Go compiler on PATH")
    folder = sources(module.product)
    target.parent.mkdir(parents=True, exist_ok=True)
    report(f"building {module.product} with Go from its pinned modules: some minutes, once")
    for left in target.parent.glob(f"{_SCRATCH}*"):  # of a build that was killed; ours is the only one now
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_SCRATCH) as scratch:
        output = Path(scratch) / module.product
        argv = [*_ending_with_us(), go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(output)]
        if module.tags:
            argv += ["-tags", ",".join(module.tags)]
        with (Path(scratch) / "log").open("w+") as log:
            result = subprocess.run(  # noqa: S603 - argv is ours
                [*argv, module.package],
                cwd=folder,
                env={**os.environ, "GOWORK": "off"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if result.returncode != 0:
                log.seek(0)
                tail = " | ".join(log.read().strip().splitlines()[-3:])
                raise BuildUnavailable(f"go build failed: {tail}")
        output.replace(target)


def _ending_with_us() -> list[str]:
    """Where the system can: a command that is killed must not leave a compiler at work for minutes."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []

"""Step containers of the local stack's Nomad client: Docker keeps them running when the client has gone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

_LABEL: Final = "com.hashicorp.nomad.alloc_id"
_ANSWER_S: Final = 10.0


def stop_containers(allocations: Path, grace: float) -> None:
    """SIGTERM, a grace, SIGKILL; then they are removed. Only those whose allocation belongs to this stack."""
    known = _docker("ps", "--all", f"--filter=label={_LABEL}", f'--format={{{{.ID}}}} {{{{.Label "{_LABEL}"}}}}')
    pairs = [line.split() for line in known.splitlines()]
    ours = [pair[0] for pair in pairs if (allocations / pair[-1]).is_dir()]
    if ours:
        _docker("stop", f"--time={grace:.0f}", *ours, seconds=grace * len(ours) + _ANSWER_S)
        _docker("rm", "--force", *ours, seconds=_ANSWER_S * 3)


def _docker(*arguments: str, seconds: float = _ANSWER_S) -> str:
    """What the command prints; nothing where no Docker answers, since then no container of ours runs."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, arguments are ours
            ["docker", *arguments],  # noqa: S607 - where the user's PATH has it
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout

"""Docker for tests: is there an engine, what runs in it of one flow, and the base image of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.settings import Settings

ROOT = Path(__file__).parent.parent


def docker(*arguments: str, seconds: float = 60) -> str:
    """AssertionError with what it said if it failed."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
    return done.stdout


def why_not() -> str:
    """What keeps containers from being tested here; "" if nothing does."""
    if why := os.environ.get("NOMADFLOWS_NO_DOCKER"):
        return why
    try:
        docker("info", seconds=20)
    except (OSError, AssertionError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine answers ({error})"
    return ""


def base_image() -> str:
    """Made of this checkout; skips where that is not possible, and fails where CI is set."""
    done = subprocess.run(
        [str(ROOT / "servers/base-image"), "nomadflows/base:test"],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    if done.returncode:
        problem = f"servers/base-image: {done.stderr[-500:]}"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    return done.stdout.strip()


def containers(settings: Settings, ref: FlowRef, step: str = "") -> list[dict[str, Any]]:
    """Docker's own description of the running containers of a flow on this stack."""
    ids = docker("ps", "--quiet", "--filter", "label=com.hashicorp.nomad.alloc_id").split()
    found = []
    for one in ids:
        done = subprocess.run(["docker", "inspect", one], check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:  # it ended meanwhile
            continue
        [about] = json.loads(done.stdout)
        env = dict(line.split("=", 1) for line in about["Config"]["Env"])
        mine = env.get("ELASTICIO_API_URI") == settings.component_api and env.get("ELASTICIO_FLOW_ID") == ref.flow
        if mine and step in {"", env.get("ELASTICIO_STEP_ID")}:
            found.append(about)
    return found

"""Flows without the rest of nomadflows, for tests of the job spec and the Nomad client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from nomadflows.cluster import AllocView, Nomad
from nomadflows.model.component import ComponentVersion
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.render.job import render_job
from nomadflows.render.site import Site
from nomadflows.settings import Settings

T = TypeVar("T")
ALIVE = {"pending", "running"}


def eventually(look: Callable[[], T], timeout: float = 20) -> T:
    """The first true answer."""
    deadline = time.monotonic() + timeout
    while not (answer := look()):
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout} s"
        time.sleep(0.02)
    return answer


def program(folder: Path, script: str) -> str:
    """A shell script that stands where a step's Python would."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def flow(version: VersionRef, settings: Settings, python: str, *steps: RunStep, count: int = 0) -> str:
    site = Site(
        component_api=settings.component_api,
        component_dir=lambda component: f"/components/{component.name}",
        python=python,
        kv_mount=settings.kv_mount,
    )
    components = {step.id: ComponentVersion(step.use, "1.0.0", "python") for step in steps}
    return render_job(version, Kind.ORDINARY, "sha256:0", steps, components, {step.id: count for step in steps}, site)


def step(step_id: str, **changes: object) -> RunStep:
    return RunStep(step_id, "action", "thing", "", "run", memory=32, cpu=20, **changes)


def alive(nomad: Nomad, version: VersionRef) -> list[AllocView]:
    found = nomad.allocations(version.workspace, version.job_id)
    return [alloc for alloc in found if alloc.client_status in ALIVE]


@contextmanager
def gone_after(nomad: Nomad, version: VersionRef) -> Iterator[None]:
    """The job is stopped and forgotten at the end."""
    try:
        yield
    finally:
        nomad.deregister(version.workspace, version.job_id, purge=False)
        eventually(lambda: not alive(nomad, version))
        nomad.deregister(version.workspace, version.job_id, purge=True)

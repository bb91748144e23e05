"""Find RabbitMQ's start script; on Debian, as root, install the package when it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nomadflows.devstack.release import Report
from nomadflows.model.errors import Refused

# The distributions' script on PATH switches to the user `rabbitmq`; the one beside the libraries does not.
_DIRECT: Final = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/lib64/rabbitmq/bin/rabbitmq-server")
_HOMEBREW: Final = ("/opt/homebrew/sbin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server")
_HOW: Final = (
    "install it: Debian, Ubuntu `sudo apt-get install rabbitmq-server` · "
    "Fedora `sudo dnf install rabbitmq-server` · macOS `brew install rabbitmq`"
)
_START_POLICY: Final = Path("/usr/sbin/policy-rc.d")


def find_rabbitmq(report: Report) -> Path:
    if found := _installed():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Refused("RabbitMQ is not installed", hint=_HOW)
    _install(report)
    if found := _installed():
        return found
    raise Refused("apt-get installed rabbitmq-server, but its start script is not where it belongs", hint=_HOW)


def _installed() -> Path | None:
    candidates = [*_DIRECT, shutil.which("rabbitmq-server"), *_HOMEBREW]
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)


def _install(report: Report) -> None:
    with _no_service_started():
        for words in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "rabbitmq-server"]):
            report(f"RabbitMQ is missing: apt-get {' '.join(words)}")
            result = subprocess.run(  # noqa: S603
                ["apt-get", *words],  # noqa: S607
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode != 0:
                tail = " | ".join(result.stderr.strip().splitlines()[-2:])
                raise Refused(f"apt-get {words[0]} failed: {tail}", hint=_HOW)


@contextmanager
def _no_service_started() -> Iterator[None]:
    """Debian starts a service on installing it, unless this policy says no; an existing policy stays as it is."""
    if _START_POLICY.exists():
        yield
        return
    _START_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _START_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _START_POLICY.unlink(missing_ok=True)

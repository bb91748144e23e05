"""Before a step's first start on a node: its component is fetched and unpacked, once for all steps of the node.

    python -m nomadflows.artifact.fetch [NODE]

Told by the environment: what (`NOMADFLOWS_ARTIFACT_URL`, `…_SHA256`), where to (`NOMADFLOWS_COMPONENT_DIR`), what it
was made for (`NOMADFLOWS_ARTIFACT_NEEDS`, such as `python 3.11` or `node 20`). A folder is whole or not there. A store
that is away is waited for; a file that is not what it should be is refused at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from nomadflows.artifact.archive import LIMITS, HostileError, unpack

_TIMEOUT_S: Final = 30.0
_PATIENCE_S: Final = 300.0
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_CHUNK: Final = 1 << 18
_GONE: Final = (404, 403, 401, 410)


class RefusedError(Exception):
    """No use trying again."""


def main(environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """The exit code; what went wrong is on stderr, where the step's log is."""
    try:
        fetch(
            environ["NOMADFLOWS_ARTIFACT_URL"],
            environ["NOMADFLOWS_ARTIFACT_SHA256"],
            Path(environ["NOMADFLOWS_COMPONENT_DIR"]),
            environ.get("NOMADFLOWS_ARTIFACT_NEEDS", ""),
            node=arguments[0] if arguments else "node",
        )
    except (RefusedError, HostileError, OSError) as error:
        print(f"the component cannot be fetched: {error}", file=sys.stderr)
        return 1
    return 0


def fetch(
    url: str, sha256: str, folder: Path, needs: str = "", *, node: str = "node", patience_s: float = _PATIENCE_S
) -> None:
    """Make the folder unless it is there. RefusedError or HostileError if that cannot be."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several steps of one component start at once: one fetches, the others wait
        if folder.is_dir():
            return
        _check_runtime(needs, node)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as fresh:
            packed = Path(fresh) / "component.tar.gz"
            _download_patiently(url, sha256, packed, patience_s)
            unpack(packed, Path(fresh) / "component")
            (Path(fresh) / "component").rename(folder)


def _download_patiently(url: str, sha256: str, target: Path, patience_s: float) -> None:
    deadline, pause = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            _download(url, sha256, target)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in _GONE:
                raise RefusedError(f"{url}: HTTP {error.code}") from error
            if time.monotonic() + pause > deadline:
                raise RefusedError(f"{url} did not answer for {patience_s:.0f} s: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            return


def _download(url: str, sha256: str, target: Path) -> None:
    if not url.startswith(("http://", "https://")):
        raise RefusedError(f"{url} is no HTTP address")
    sha, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310 - checked
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > LIMITS.packed:
                raise RefusedError(f"{url} has more than {LIMITS.packed} bytes")
            sha.update(chunk)
            file.write(chunk)
    if sha.hexdigest() != sha256:
        raise RefusedError(f"{url}: its digest is {sha.hexdigest()}, it should be {sha256}")


def _check_runtime(needs: str, node: str) -> None:
    """A component is made for one Python minor or one Node major: what it brings may be compiled for that."""
    language, _, wanted = needs.partition(" ")
    if language == "python":
        found = f"{sys.version_info.major}.{sys.version_info.minor}"
    elif language == "node":
        shown = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
        found = shown.stdout.strip().removeprefix("v").partition(".")[0]
    else:
        return
    if found != wanted:
        raise RefusedError(f"it was deployed for {language} {wanted}, this node has {found or 'none'}")


if __name__ == "__main__":
    raise SystemExit(main(os.environ, sys.argv[1:]))

"""Before a step's first start on a node: its component is fetched and unpacked, once for all steps of the node.

    python -m nomadflows.artifact.fetch [NODE]

Told by the environment: what (`NOMADFLOWS_ARTIFACT_URL`, `…_SHA256`), where to (`NOMADFLOWS_COMPONENT_DIR`), what it
was made for (`NOMADFLOWS_ARTIFACT_NEEDS`, such as `python 3.11` or `node 20`), how long what nobody starts is kept
(`NOMADFLOWS_COMPONENT_KEEP_DAYS`). A folder is whole or not there. A store that is away is waited for; a file that is not
what it should be, and a disk that takes no more, end it at once. A store that wants an `Authorization` header gets
`NOMADFLOWS_ARTIFACT_AUTHORIZATION`, which only the node's own environment holds.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from nomadflows.artifact import cache
from nomadflows.artifact.archive import LIMITS, HostileError, unpack
from nomadflows.artifact.needs import VARIABLE as NEEDS
from nomadflows.artifact.needs import python_here, refusal

_TIMEOUT_S: Final = 30.0
_PATIENCE_S: Final = 300.0
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 5.0
_CHUNK: Final = 1 << 18
_GONE: Final = (404, 403, 401, 410)
_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}  # what no network says
_ABOUT_NODE: Final = "process.versions.node.split('.')[0] + ' ' + process.platform + '-' + process.arch"


class RefusedError(Exception):
    """No use trying again."""


class DiskError(RefusedError):
    """This node's disk does not take it."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(f"{folder} on this node cannot be written: {error.strerror}")


def main(environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """The exit code; what went wrong is on stderr, where the step's log is."""
    folder = Path(environ[cache.VARIABLE])
    try:
        fetch(
            environ["NOMADFLOWS_ARTIFACT_URL"],
            environ["NOMADFLOWS_ARTIFACT_SHA256"],
            folder,
            environ.get(NEEDS, ""),
            node=arguments[0] if arguments else "node",
            authorization=environ.get("NOMADFLOWS_ARTIFACT_AUTHORIZATION", ""),
        )
    except (RefusedError, HostileError, OSError) as error:
        print(f"the component cannot be fetched: {error}", file=sys.stderr)
        return 1
    _tidy_up(folder.parent.parent, environ.get("NOMADFLOWS_COMPONENT_KEEP_DAYS", ""))
    return 0


def fetch(
    url: str,
    sha256: str,
    folder: Path,
    needs: str = "",
    *,
    node: str = "node",
    authorization: str = "",
    patience_s: float = _PATIENCE_S,
) -> None:
    """Make the folder unless it is there. RefusedError or HostileError if that cannot be."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder):  # several steps of one component start at once: one fetches, the others wait
        if folder.is_dir():
            return
        _check_runtime(needs, node)
        asked = _asked(url, authorization)
        with cache.scratch(folder) as fresh:
            _download_patiently(asked, sha256, fresh / "component.tar.gz", patience_s)
            try:
                unpack(fresh / "component.tar.gz", fresh / "component")
            except OSError as error:
                raise DiskError(folder.parent, error) from error
            cache.mark(folder)
            (fresh / "component").rename(folder)


def _tidy_up(place: Path, keep_days: str) -> None:
    """A step does not wait for room to be made, nor fail where it cannot."""
    try:
        gone = cache.sweep(place, float(keep_days or 0), time.time())
    except OSError as error:
        print(f"old components were not removed: {error}", file=sys.stderr)
        return
    if gone:
        print(f"not started for {keep_days} days, and removed: {', '.join(map(str, gone))}", file=sys.stderr)


def _asked(url: str, authorization: str) -> urllib.request.Request:
    if not url.startswith(("http://", "https://")):
        raise RefusedError(f"{url} is no HTTP address")
    asked = urllib.request.Request(url)  # noqa: S310 - checked
    if authorization:
        asked.add_unredirected_header(
            "Authorization", authorization
        )  # a store may send on to one that has no use for it
    return asked


def _download_patiently(asked: urllib.request.Request, sha256: str, target: Path, patience_s: float) -> None:
    url = asked.full_url
    deadline, pause = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            _download(asked, sha256, target)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in _GONE:
                raise RefusedError(f"{url}: HTTP {error.code}") from error
            if isinstance(error, OSError) and error.errno in _DISK:
                raise DiskError(target.parent, error) from error
            if time.monotonic() + pause > deadline:
                raise RefusedError(f"{url} did not answer for {patience_s:.0f} s: {error}") from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            return


def _download(asked: urllib.request.Request, sha256: str, target: Path) -> None:
    url, sha, size = asked.full_url, hashlib.sha256(), 0
    with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:  # noqa: S310 - checked
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
    here: Sequence[str] = python_here()
    if needs.startswith("node "):
        shown = subprocess.run([node, "-p", _ABOUT_NODE], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
        here = shown.stdout.split()
    if problem := refusal(needs, here):
        raise RefusedError(problem)


if __name__ == "__main__":
    raise SystemExit(main(os.environ, sys.argv[1:]))

"""Official releases: download a product's archive, check it against the published SHA-256 sums, unpack it.

The signature of the sums is not checked (that would need gpg and its keys); the sums come over TLS from the
publisher's own host, which is also what the install pages ask people to do by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import platform
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

Report = Callable[[str], None]

_CONNECT_TIMEOUT: Final = 4.0
_READ_TIMEOUT: Final = 30.0
_CHUNK: Final = 1 << 20


class ReleaseUnavailable(Exception):
    """This machine cannot get the release: no network, no such file. Another source may do."""


class ChecksumMismatch(Exception):
    """What was downloaded is not what its publisher published."""


@dataclass(frozen=True, slots=True)
class Release:
    product: str
    version: str
    archive_url: str
    sums_url: str

    @property
    def archive(self) -> str:
        return self.archive_url.rpartition("/")[2]


def hashicorp(product: str, version: str, base: str = "https://releases.hashicorp.com") -> Release:
    folder = f"{base}/{product}/{version}"
    return Release(
        product,
        version,
        f"{folder}/{product}_{version}_{system()}_{machine()}.zip",
        f"{folder}/{product}_{version}_SHA256SUMS",
    )


def openbao(version: str, base: str = "https://github.com/openbao/openbao/releases/download") -> Release:
    folder = f"{base}/v{version}"
    names = {"linux": "Linux", "darwin": "Darwin"}
    architecture = {"amd64": "x86_64"}.get(machine(), machine())
    return Release(
        "bao",
        version,
        f"{folder}/bao_{version}_{names[system()]}_{architecture}.tar.gz",
        f"{folder}/checksums-{system()}.txt",
    )


def system() -> str:
    return "darwin" if sys.platform == "darwin" else "linux"


def machine() -> str:
    name = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(name, name)


def fetch(release: Release, target: Path, report: Report) -> None:
    """Put the checked program at `target`. ReleaseUnavailable: try another source. ChecksumMismatch: stop."""
    with requests.Session() as session:
        sums = _text(session, release.sums_url)
        expected = _sum_of(release.archive, sums)
        content = _download(session, release, report)
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ChecksumMismatch(f"{release.archive_url} has SHA-256 {actual}, its publisher says {expected}")
    program = _unpack(release, content)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.download")
    temporary.write_bytes(program)
    temporary.chmod(0o755)
    temporary.replace(target)


def _text(session: requests.Session, url: str) -> str:
    try:
        response = session.get(url, timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT))
        response.raise_for_status()
    except requests.RequestException as error:
        raise ReleaseUnavailable(_brief(url, error)) from error
    return response.text


def _download(session: requests.Session, release: Release, report: Report) -> bytes:
    received = io.BytesIO()
    try:
        with session.get(release.archive_url, timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT), stream=True) as response:
            response.raise_for_status()
            total = int(response.headers.get("Content-Length") or 0)
            for chunk in response.iter_content(_CHUNK):
                received.write(chunk)
                done = f"{received.tell() >> 20} of {total >> 20} MB" if total else f"{received.tell() >> 20} MB"
                report(f"downloading {release.product} {release.version}: {done}")
    except requests.RequestException as error:
        raise ReleaseUnavailable(_brief(release.archive_url, error)) from error
    return received.getvalue()


def _sum_of(archive: str, sums: str) -> str:
    for line in sums.splitlines():
        with contextlib.suppress(ValueError):
            digest, name = line.split()
            if name.lstrip("*") == archive:
                return digest.lower()
    raise ReleaseUnavailable(f"no checksum is published for {archive}")


def _unpack(release: Release, content: bytes) -> bytes:
    if release.archive.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(release.product)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        member = tar.extractfile(release.product)
        if member is None:
            raise ReleaseUnavailable(f"{release.archive} holds no program named {release.product}")
        return member.read()


def _brief(url: str, error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{url}: HTTP {error.response.status_code}"
    return f"{url}: {type(error).__name__}"

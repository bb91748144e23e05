"""A component as one file: packed so that the same content gives the same bytes, unpacked as if a stranger had packed it.

What comes out of an archive lies below its folder: plain files, folders, and links among them. Everything else
(absolute or climbing names, devices, hard links, names below a link, the same name twice) is refused before a byte of
it is written, and so is what grows beyond `Limits`, whatever its headers say.

Standard library only: nodes run this before a step starts.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_CHUNK: Final = 1 << 18
_LONGEST_READ: Final = 1 << 20  # longer ones only a header that lies about its size asks for
_LONGEST_NAME: Final = 1_024
_BLOCK: Final = 1_024  # header and filling of an entry, at most


class HostileError(Exception):
    """The archive is not what `pack` makes. The message says which entry and why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one component, in bytes and entries."""

    packed: int = 256 << 20
    unpacked: int = 512 << 20
    entries: int = 50_000


LIMITS: Final = Limits()


def pack(folder: Path, target: Path, limits: Limits = LIMITS) -> str:
    """Write the folder's content; its SHA-256 in hex. HostileError for what `unpack` would refuse."""
    paths = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts)
    _fits(paths, limits)
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in paths:
            _add(tar, path, path.relative_to(folder).as_posix())
    check(target, limits)
    return digest(target)


def digest(path: Path) -> str:
    """SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, limits: Limits = LIMITS) -> None:
    """Read an archive to its end. HostileError says what is wrong with it."""
    names = {name for name, _, _ in _entries(path, limits)}
    if "component.json" not in names:
        raise HostileError("there is no component.json in it")


def unpack(path: Path, folder: Path, limits: Limits = LIMITS) -> None:
    """Into a folder that does not exist yet. HostileError, with whatever came before the culprit written; OSError is
    the disk's."""
    folder.mkdir()
    for name, member, data in _entries(path, limits):
        there = folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            there.mkdir(exist_ok=True)
        elif member.issym():
            there.symlink_to(member.linkname)
        else:
            assert data is not None, "a plain file has data"
            _write(there, data, executable=bool(member.mode & 0o100))
    if not (folder / "component.json").is_file():
        raise HostileError("there is no component.json in it")


def _fits(paths: Sequence[Path], limits: Limits) -> None:
    """Before anything is written: what is far too large would fill the disk first."""
    size = sum(path.lstat().st_size for path in paths if not path.is_dir())
    if size > limits.unpacked or len(paths) > limits.entries:
        raise HostileError(
            f"it has {size} bytes in {len(paths)} entries; allowed: {limits.unpacked} bytes in {limits.entries} entries"
        )


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Neither times nor owners: two builds of one content are one archive."""
    member = tarfile.TarInfo(name)
    if path.is_symlink():
        member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
        tar.addfile(member)
    elif path.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
    elif path.is_file():
        status = path.stat()
        member.size, member.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        with path.open("rb") as file:
            tar.addfile(member, file)
    else:
        raise HostileError(f"{name} is neither file nor folder")


def _entries(path: Path, limits: Limits) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Each entry once it is known to be harmless. Its data must be read before the next one is asked for."""
    if path.stat().st_size > limits.packed:
        raise HostileError(f"it has {path.stat().st_size} bytes; allowed: {limits.packed}")
    seen: dict[str, bool] = {}  # name → whether things may lie below it
    size = 0
    with (
        _readable(),
        path.open("rb") as raw,
        _Bounded(raw, limits) as stream,
        tarfile.open(fileobj=stream, mode="r:") as tar,
    ):
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined] # else every entry is kept until the end
            name = _harmless(member, seen)
            size += member.size
            if size > limits.unpacked:
                raise HostileError(f"it unpacks to more than {limits.unpacked} bytes")
            if len(seen) > limits.entries:
                raise HostileError(f"it has more than {limits.entries} entries")
            yield name, member, tar.extractfile(member) if member.isreg() else None


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise HostileError(f"it cannot be read: {error}") from error


def _harmless(member: tarfile.TarInfo, seen: dict[str, bool]) -> str:
    name = member.name
    parts = name.split("/")
    if not name or len(name) > _LONGEST_NAME or name.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in name:
        raise HostileError(f"{name!a} is no name below a folder")
    if name in seen and not (member.isdir() and seen[name]):
        raise HostileError(f"{name!a} is in it twice")
    if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE} or member.issparse():
        raise HostileError(f"{name!a} is neither file, folder nor link")
    for depth in range(1, len(parts)):
        parent = "/".join(parts[:depth])
        if not seen.setdefault(parent, True):
            raise HostileError(f"{name!a} lies below {parent!a}, which is no folder")
    if member.issym():
        _inside(name, member.linkname)
    seen[name] = member.isdir()
    return name


def _inside(name: str, target: str) -> None:
    """A link may climb to folders of the archive and then only descend: `x/..` could be anywhere if x is a link."""
    parts = target.split("/")
    climbs = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if target.startswith("/") or not target or ".." in parts[climbs:] or climbs > name.count("/") or "\0" in target:
        raise HostileError(f"{name!a} links to {target!a}, outside of the archive")


def _write(path: Path, data: IO[bytes], *, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o755 if executable else 0o644), "wb") as file:
        while chunk := _read(data):
            file.write(chunk)


def _read(data: IO[bytes]) -> bytes:
    with _readable():
        return data.read(_CHUNK)


class _Bounded(gzip.GzipFile):
    """Ends when more comes out than there may be, and lets no header ask for much at once."""

    def __init__(self, raw: IO[bytes], limits: Limits) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._most = limits.unpacked + limits.entries * _BLOCK

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            raise HostileError("a header of it is larger than any should be")
        data = super().read(size)
        self._check()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset > self._most:
            raise HostileError(f"it unpacks to more than {self._most} bytes")
        return super().seek(offset, whence)

    def _check(self) -> None:
        if self.tell() > self._most:
            raise HostileError(f"it unpacks to more than {self._most} bytes")

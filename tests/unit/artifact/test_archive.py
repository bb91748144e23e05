"""What is packed comes out again; what a stranger packed to do harm does not."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from nomadflows.artifact.archive import LIMITS, HostileError, Limits, check, digest, pack, unpack

SMALL = Limits(packed=1 << 20, unpacked=1 << 20, entries=20)


def component(folder: Path) -> Path:
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "component.json").write_text("{}")
    (folder / "lib" / "run").write_text("#!/bin/sh\n")
    (folder / "lib" / "run").chmod(0o700)
    (folder / "lib" / "deep" / "up").symlink_to("../run")
    (folder / "empty").mkdir()
    return folder


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def archive(path: Path, *entries: tarfile.TarInfo) -> Path:
    """With what a component must have, and then these."""
    with tarfile.open(path, "w:gz") as tar:
        for member in (entry("component.json"), *entries):
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def test_what_is_packed_comes_out_again(tmp_path):
    source = component(tmp_path / "source")
    sha256 = pack(source, tmp_path / "packed")
    assert sha256 == digest(tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    assert found == {"component.json", "lib", "lib/run", "lib/deep", "lib/deep/up", "empty"}
    assert os.access(tmp_path / "out" / "lib" / "run", os.X_OK)
    assert not os.access(tmp_path / "out" / "component.json", os.X_OK)
    assert (tmp_path / "out" / "lib" / "deep" / "up").read_text() == "#!/bin/sh\n"


def test_two_builds_of_one_content_are_one_file(tmp_path):
    one, other = component(tmp_path / "one"), component(tmp_path / "other")
    os.utime(other / "component.json", (1, 1))
    assert pack(one, tmp_path / "a") == pack(other, tmp_path / "b")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry("../evil")], "no name below a folder"),
        ([entry("lib/../../evil")], "no name below a folder"),
        ([entry("/etc/evil")], "no name below a folder"),
        ([entry("./component.json")], "no name below a folder"),
        ([entry("lib//evil")], "no name below a folder"),
        ([entry("x" * 2000)], "no name below a folder"),
        ([entry("out", tarfile.SYMTYPE, "/etc")], "outside of the archive"),
        ([entry("out", tarfile.SYMTYPE, "..")], "outside of the archive"),
        ([entry("a/out", tarfile.SYMTYPE, "../../etc")], "outside of the archive"),
        ([entry("a/x", tarfile.SYMTYPE, "../b"), entry("a/out", tarfile.SYMTYPE, "x/../..")], "outside of the archive"),
        ([entry("out", tarfile.SYMTYPE, "lib"), entry("out/evil")], "which is no folder"),
        ([entry("component.json/evil")], "which is no folder"),
        ([entry("twice"), entry("twice")], "in it twice"),
        ([entry("lib", tarfile.DIRTYPE), entry("lib", tarfile.SYMTYPE, "empty")], "in it twice"),
        ([entry("hard", tarfile.LNKTYPE, "/etc/passwd")], "neither file, folder nor link"),
        ([entry("sda", tarfile.BLKTYPE)], "neither file, folder nor link"),
        ([entry("tty", tarfile.CHRTYPE)], "neither file, folder nor link"),
        ([entry("pipe", tarfile.FIFOTYPE)], "neither file, folder nor link"),
        ([entry("large", size=2 << 20)], "unpacks to more than"),
        ([entry(f"f{number}") for number in range(30)], "more than 20 entries"),
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path, entries, said):
    packed = archive(tmp_path / "packed", *entries)
    with pytest.raises(HostileError, match=said):
        check(packed, SMALL)
    (tmp_path / "node").mkdir()
    with pytest.raises(HostileError, match=said):
        unpack(packed, tmp_path / "node" / "component", SMALL)
    assert {path.name for path in (tmp_path / "node").iterdir()} == {"component"}


def test_what_is_no_component_is_refused(tmp_path):
    with tarfile.open(tmp_path / "packed", "w:gz") as tar:
        tar.addfile(entry("readme"))
    with pytest.raises(HostileError, match="there is no component"):
        check(tmp_path / "packed")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(HostileError, match="cannot be read"):
        check(tmp_path / "text")
    whole = archive(tmp_path / "whole", entry("large", size=100_000)).read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HostileError, match="cannot be read"):
        unpack(tmp_path / "half", tmp_path / "out")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    """A gigabyte of zeros in a megabyte; the header says so."""
    header = entry("zeros", size=1 << 30).tobuf() + entry("component.json").tobuf()
    with gzip.open(tmp_path / "bomb", "wb") as bomb:
        bomb.write(header)
        for _ in range(64):
            bomb.write(bytes(1 << 20))
    with pytest.raises(HostileError, match="unpacks to more than"):
        unpack(tmp_path / "bomb", tmp_path / "out", LIMITS)
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_wants_a_gigabyte_of_memory_is_refused(tmp_path, kind):
    with gzip.open(tmp_path / "bomb", "wb") as bomb:
        bomb.write(entry("x", kind, size=400 << 20).tobuf(tarfile.GNU_FORMAT))
        bomb.write(bytes(4 << 20))
    with pytest.raises(HostileError, match="a header of it is larger"):
        check(tmp_path / "bomb")


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(HostileError, match="1073741824 bytes"):
        check(tmp_path / "huge")


def test_a_pipe_is_not_packed(tmp_path):
    source = component(tmp_path / "source")
    os.mkfifo(source / "pipe")
    with pytest.raises(HostileError, match="neither file nor folder"):
        pack(source, tmp_path / "packed")


@pytest.mark.parametrize("limits", [Limits(unpacked=10), Limits(entries=1)])
def test_what_is_too_large_is_not_even_begun(tmp_path, limits):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "component.json").write_text("{}")
    (folder / "data").write_text("x" * 20)
    with pytest.raises(HostileError, match="allowed"):
        pack(folder, tmp_path / "packed", limits)
    assert not (tmp_path / "packed").exists()

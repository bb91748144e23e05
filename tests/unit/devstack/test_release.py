"""Servers from official releases: nothing is installed that its publisher did not publish."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nomadflows.devstack import binaries, gobuild, release
from nomadflows.model.errors import Refused

PROGRAM = b"#!/bin/sh\necho Nomad v9.9.9\n"


class Publisher:
    """A local HTTP server with the files of a release."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked.append(self.path)
                content = publisher.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self, product: str, version: str, *, said: str | None = None) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(product, PROGRAM)
        content = packed.getvalue()
        name = f"{product}_{version}_{release.system()}_{release.machine()}.zip"
        digest = said or hashlib.sha256(content).hexdigest()
        self.files[f"/{product}/{version}/{name}"] = content
        self.files[f"/{product}/{version}/{product}_{version}_SHA256SUMS"] = (
            f"{'0' * 64}  {product}_{version}_plan9_arm.zip\n{digest}  {name}\n".encode()
        )


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def source(publisher: Publisher, tmp_path: Path) -> binaries.Source:
    return binaries.Source(tmp_path / "cache", hashicorp_base=publisher.url, search_path=str(tmp_path / "path"))


@pytest.fixture
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(module: gobuild.GoModule, target: Path, report: release.Report) -> None:
        raise gobuild.BuildUnavailable("no Go compiler on PATH")

    monkeypatch.setattr(gobuild, "build", build)


def quiet(_: str) -> None:
    pass


@pytest.mark.usefixtures("no_go")
def test_release_with_the_right_sum_is_installed_and_cached(publisher: Publisher, source: binaries.Source) -> None:
    # Given
    version = binaries.NOMAD.pinned_version()
    publisher.publish("nomad", version)

    # When
    said: list[str] = []
    program = binaries.find(binaries.NOMAD, source, said.append)

    # Then
    assert program == source.cache / "bin" / f"nomad-{version}"
    assert program.read_bytes() == PROGRAM
    assert program.stat().st_mode & 0o111
    assert any("downloading nomad" in line for line in said)

    # When it is asked for again, nobody is asked
    publisher.asked.clear()
    assert binaries.find(binaries.NOMAD, source, quiet) == program
    assert publisher.asked == []


@pytest.mark.usefixtures("no_go")
def test_release_with_another_sum_is_refused_and_nothing_is_left(publisher: Publisher, source: binaries.Source) -> None:
    publisher.publish("nomad", binaries.NOMAD.pinned_version(), said="f" * 64)
    with pytest.raises(Refused, match="its publisher says ffff"):
        binaries.find(binaries.NOMAD, source, quiet)
    assert [entry.name for entry in (source.cache / "bin").iterdir()] == [".lock"]


def test_a_wrong_sum_is_not_answered_by_a_build(
    publisher: Publisher, source: binaries.Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody tampers with the download: that must be seen, not worked around."""
    publisher.publish("nomad", binaries.NOMAD.pinned_version(), said="f" * 64)
    monkeypatch.setattr(gobuild, "build", lambda *_: pytest.fail("must not build"))
    with pytest.raises(Refused):
        binaries.find(binaries.NOMAD, source, quiet)


def test_no_release_falls_through_to_the_build(
    publisher: Publisher, source: binaries.Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(module: gobuild.GoModule, target: Path, report: release.Report) -> None:
        target.write_bytes(PROGRAM)

    monkeypatch.setattr(gobuild, "build", build)
    program = binaries.find(binaries.NOMAD, source, quiet)
    assert program.read_bytes() == PROGRAM
    assert publisher.asked  # it was tried


@pytest.mark.usefixtures("no_go")
def test_nothing_to_be_had_says_what_was_tried(source: binaries.Source) -> None:
    with pytest.raises(Refused) as caught:
        binaries.find(binaries.CONSUL, source, quiet)
    assert "HTTP 404" in str(caught.value)
    assert "no Go compiler" in str(caught.value)
    assert f"install consul {binaries.CONSUL.pinned_version()} by hand" in str(caught.value)


@pytest.mark.usefixtures("no_go")
def test_nobody_at_the_address_falls_through_at_once(tmp_path: Path) -> None:
    source = binaries.Source(tmp_path, hashicorp_base="http://127.0.0.1:9", search_path=str(tmp_path))
    with pytest.raises(Refused, match="ConnectionError"):
        binaries.find(binaries.NOMAD, source, quiet)


def install(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def test_program_on_path_is_used(source: binaries.Source, publisher: Publisher, tmp_path: Path) -> None:
    program = install(tmp_path / "path", "nomad", "Nomad v1.12.0-rc.1+ent")
    assert binaries.find(binaries.NOMAD, source, quiet) == program
    assert publisher.asked == []


def test_too_old_program_on_path_is_passed_over(publisher: Publisher, source: binaries.Source, tmp_path: Path) -> None:
    install(tmp_path / "path", "nomad", "Nomad v1.4.3")
    publisher.publish("nomad", binaries.NOMAD.pinned_version())
    assert binaries.find(binaries.NOMAD, source, quiet).is_relative_to(source.cache)


def test_openbao_release(publisher: Publisher, source: binaries.Source, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given neither package nor program, but a published archive
    monkeypatch.setattr(binaries, "_packaged_openbao", lambda: None)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("bao")
        member.size = len(PROGRAM)
        archive.addfile(member, io.BytesIO(PROGRAM))
    wanted = release.openbao("1.2.3", publisher.url)
    publisher.files[wanted.archive_url.removeprefix(publisher.url)] = packed.getvalue()
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    publisher.files[wanted.sums_url.removeprefix(publisher.url)] = f"{digest}  {wanted.archive}\n".encode()

    # When
    target = source.cache / "bao"
    release.fetch(wanted, target, quiet)

    # Then
    assert target.read_bytes() == PROGRAM


@pytest.mark.parametrize(
    ("text", "version"), [("1.11.3", (1, 11, 3)), ("1.12.0-rc.1+ent", (1, 12, 0)), ("3.10.8", (3, 10, 8)), ("", ())]
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert binaries.as_version(text) == version


@pytest.mark.parametrize("product", [binaries.NOMAD, binaries.CONSUL])
def test_pinned_modules_are_shipped(product: binaries.Product) -> None:
    folder = gobuild.sources(product.name)
    assert product.pinned_version() in (folder / "go.mod").read_text()
    assert f"{product.module.package} v{product.pinned_version()} h1:" in (folder / "go.sum").read_text()

"""Packed components on their way from `component deploy` to a node: store, fetch, dependencies, what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests as http

from nomadflows.artifact.signature import HEADER, sign
from nomadflows.cli.root import run
from nomadflows.model.component import ComponentVersion
from nomadflows.store import requests
from tests.fileserver import FileServer
from tests.world import World, eventually

pytestmark = pytest.mark.stack

CODE = """\
import os

import tiny


def process(message, config, snapshot):
    with open(config["out"], "a") as file:
        file.write(f"{message.body['n']} {tiny.WORD} {os.path.dirname(__file__)}\\n")
    return {"body": message.body}
"""
WHEEL = "tiny-1.0-py3-none-any.whl"


def folder_with_a_wheel(tmp_path: Path, name: str, version: str = "1.0.0") -> Path:
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    descriptor = {"version": version, "triggers": {"hear": {"main": "hear"}}}
    (folder / "component.json").write_text(json.dumps(descriptor))
    (folder / "hear.py").write_text(CODE)
    (folder / "requirements.txt").write_text(f"./{WHEEL}\n")
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("tiny.py", "WORD = 'installed'\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    return folder


def one_step(name: str, out: Path) -> dict[str, Any]:
    return {"idle_after": "1s", "steps": [{"id": "hear", "use": f"{name}:hear", "with": {"out": str(out)}}]}


def deployed(world: World, folder: Path) -> ComponentVersion:
    assert run(["component", "deploy", str(folder)]) == 0
    return world.store.component_versions(folder.name)[0]


def hear(world: World, flow: Any, out: Path, number: int) -> tuple[str, Path]:
    world.send(flow, range(number, number + 1), step="hear")
    world.all_arrive(out, range(number, number + 1))
    _, word, folder = next(line for line in out.read_text().splitlines() if line.startswith(f"{number} ")).split()
    return word, Path(folder)


def test_a_component_is_fetched_with_its_packages_once_a_node(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    world.start_controller()
    world.someone_leads()
    made = deployed(world, folder_with_a_wheel(tmp_path, "wheeled"))
    flow = world.start_flow("wheeled", one_step("wheeled", out))
    word, place = hear(world, flow, out, 1)
    assert word == "installed"
    assert place == world.settings.cache_folder / "wheeled" / f"1.0.0-{made.location['artifact'][:12]}"
    # The folder is not made again for the next process
    inode = place.stat().st_ino
    world.flow_becomes(flow, "Sleeping")
    hear(world, flow, out, 2)
    assert place.stat().st_ino == inode
    # One that was lost is, without anybody's help
    world.flow_becomes(flow, "Sleeping")
    eventually("no process is left", lambda: not world.step_pids(flow))
    shutil.rmtree(place)
    assert hear(world, flow, out, 3)[1] == place
    # And with its last version the file leaves the store
    address = f"{world.settings.artifacts}/{made.location['artifact']}.tar.gz"
    assert http.head(address, timeout=5).status_code == 200
    assert run(["component", "delete", made.ref]) == 1
    requests.stop(world.store, flow, by="test")
    world.flow_becomes(flow, "Stopped", 60)
    deployed(world, folder_with_a_wheel(tmp_path, "wheeled", "1.0.1"))
    assert run(["component", "delete", made.ref]) == 0
    assert http.head(address, timeout=5).status_code == 404


def test_nomad_may_fetch_it_for_each_process(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    world.start_controller(NOMADFLOWS_COMPONENT_FETCH="nomad")
    world.someone_leads()
    deployed(world, folder_with_a_wheel(tmp_path, "by-nomad"))
    flow = world.start_flow("by-nomad", one_step("by-nomad", out))
    word, place = hear(world, flow, out, 1)
    assert (word, place.name, place.parent.name) == ("installed", "component", "local")
    assert not (world.settings.cache_folder / "by-nomad").exists()


@pytest.mark.slow
def test_components_may_lie_on_any_server_that_takes_and_gives_files(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with FileServer() as server:
        monkeypatch.setenv("NOMADFLOWS_ARTIFACT_URL", server.base)
        world.start_controller()
        world.someone_leads()
        made = deployed(world, folder_with_a_wheel(tmp_path, "elsewhere"))
        assert list(server.files) == [f"/{made.location['artifact']}.tar.gz"]
        flow = world.start_flow("elsewhere", one_step("elsewhere", out))
        assert hear(world, flow, out, 1)[0] == "installed"
        world.stop_flow(flow)
        deployed(world, folder_with_a_wheel(tmp_path, "elsewhere", "1.0.1"))
        assert run(["component", "delete", made.ref]) == 0
        assert f"/{made.location['artifact']}.tar.gz" not in server.files
        assert not list(world.settings.artifact_folder.glob(f"{made.location['artifact']}*"))


def test_the_store_takes_only_what_is_signed_and_harmless(world: World) -> None:
    world.start_controller()
    world.someone_leads()
    key = world.vault.artifact_key()

    def put(content: bytes, sha256: str = "", *, by: str = key) -> int:
        sha256 = sha256 or hashlib.sha256(content).hexdigest()
        address = f"{world.settings.artifacts}/{sha256}.tar.gz"
        header = sign(by, "PUT", sha256, time.time())
        return http.put(address, data=content, headers={HEADER: header}, timeout=10).status_code

    good = packed(tarfile.TarInfo("component.json"))
    link = tarfile.TarInfo("out")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    bomb = tarfile.TarInfo("zeros")
    bomb.size = 1 << 30
    assert put(good, by="another key") == 401
    assert put(good, "0" * 64) == 422
    assert put(packed(tarfile.TarInfo("component.json"), link)) == 422
    assert put(packed(tarfile.TarInfo("component.json"), tarfile.TarInfo("../evil"))) == 422
    assert put(gzip.compress(tarfile.TarInfo("component.json").tobuf() + bomb.tobuf() + bytes(64 << 20))) == 422
    assert not list(world.settings.artifact_folder.glob(".receiving-*"))
    assert put(good) == 201


def packed(*members: tarfile.TarInfo) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member)
    return written.getvalue()

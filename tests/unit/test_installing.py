"""Node's packages are installed by npm, which here is a script that tells what it was given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nomadflows.artifact.archive import unpack
from nomadflows.inherited import for_strangers
from nomadflows.model.descriptor import is_forgetful
from nomadflows.model.errors import InputError
from nomadflows.packing import pack, read_component

NPM = """#!/bin/sh
mkdir -p node_modules/elasticio-sailor-nodejs
echo "{\\"version\\": \\"${NPM_CONFIG_GIVES:-2.7.6}\\"}" > node_modules/elasticio-sailor-nodejs/package.json
touch node_modules/elasticio-sailor-nodejs/run.js
{ echo "$1"; ls -A; env; } > told.txt
"""
DESCRIPTOR = {"triggers": {"receive": {"main": "./receive.js"}}}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A component's folder, on a machine whose npm is ours, and whose Node may be none at all."""
    for name, script in (("npm", NPM), ("node", "#!/bin/sh\necho v20.1.0\n")):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "component.json").write_text(json.dumps(DESCRIPTOR))
    (folder / "receive.js").write_text("")
    depends_on(folder, "2.7.6")
    return folder


def depends_on(folder: Path, library: str) -> None:
    package = {"version": "1.0.0", "dependencies": {"elasticio-sailor-nodejs": library}}
    (folder / "package.json").write_text(json.dumps(package))


def packed(source: Path) -> Path:
    target = source.parent / "packed"
    made = pack(read_component(source), source, target, "python3")
    assert made.library == "2.7.6"
    unpack(target, source.parent / "unpacked")
    return source.parent / "unpacked"


def test_npm_reads_its_settings_and_nobody_gets_them(source: Path):
    (source / ".npmrc").write_text("//registry.example/:_authToken=swordfish")
    (source / ".env").write_text("TOKEN=swordfish")
    made = packed(source)
    told = (made / "told.txt").read_text().splitlines()
    assert told[0] == "install"
    assert ".npmrc" in told
    assert ".env" not in told
    assert not (made / ".npmrc").exists()
    assert (source / ".npmrc").exists()


def test_from_a_lock_file_if_there_is_one(source: Path):
    (source / "package-lock.json").write_text("{}")
    assert (packed(source) / "told.txt").read_text().startswith("ci\n")


def test_install_scripts_see_no_token_of_a_server(source: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("VAULT_TOKEN", "NOMAD_TOKEN", "CONSUL_HTTP_TOKEN", "NOMADFLOWS_AMQP_URI", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "swordfish")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    monkeypatch.setenv("npm_config_registry", "https://registry.example")
    told = (packed(source) / "told.txt").read_text()
    assert "swordfish" not in told
    assert "https_proxy=http://proxy.example" in told
    assert "npm_config_registry=https://registry.example" in told


def test_modules_that_are_loaded_at_deploy_see_none_either(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAULT_TOKEN", "swordfish")
    told = source.parent / "loaded.txt"
    (source.parent / "bin" / "node").write_text(f"#!/bin/sh\nenv >> {told}\necho v20.1.0\n")
    found = read_component(source)
    told.unlink()
    pack(found, source, source.parent / "packed", "python3")
    assert "PATH=" in told.read_text()
    assert "swordfish" not in told.read_text()


@pytest.mark.parametrize("library", ["^2.7.0", "~2.7", "*", "latest", "2.x", "github:elasticio/sailor-nodejs"])
def test_a_range_of_the_library_needs_a_lock_file(source: Path, library: str):
    depends_on(source, library)
    with pytest.raises(InputError, match="is more than one version, and there is no lock file"):
        read_component(source)
    (source / "package-lock.json").write_text("{}")
    assert read_component(source).language == "node"


@pytest.mark.parametrize("library", ["1.3.0", "2.5.4", "2.6.1"])
def test_a_library_that_reads_no_bytes_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch, library: str):
    monkeypatch.setenv("NPM_CONFIG_GIVES", library)
    with pytest.raises(InputError, match=f"elasticio-sailor-nodejs {library} reads no messages as bytes"):
        pack(read_component(source), source, source.parent / "packed", "python3")


def test_what_is_sent_by_an_older_library_does_not_survive_the_broker():
    assert [is_forgetful(library) for library in ("2.6.5", "2.6.27", "2.7.0", "2.7.8", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_what_is_handed_on():
    given = {
        "PATH": "a",
        "no_proxy": "b",
        "LC_ALL": "c",
        "npm_config_cache": "d",
        "PIP_INDEX_URL": "e",
        "NOMAD_ADDR": "f",
    }
    assert for_strangers(given) == {name: value for name, value in given.items() if name != "NOMAD_ADDR"}

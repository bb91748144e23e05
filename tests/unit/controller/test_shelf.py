"""The leader takes packed components away that no version names."""

import os
from types import SimpleNamespace

from nomadflows.artifact.shelf import Shelf
from nomadflows.controller.shelf import ForgottenArtifacts
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import ServerUnreachable

NAMED, FORGOTTEN = "a" * 64, "b" * 64


def test_files_that_no_version_names_go_after_an_hour(tmp_path):
    for sha256 in (NAMED, FORGOTTEN):
        (tmp_path / f"{sha256}.tar.gz").write_bytes(b"")
        os.utime(tmp_path / f"{sha256}.tar.gz", (1000, 1000))
    version = ComponentVersion("shop", "1.0.0", "python", location={"artifact": NAMED})
    image = ComponentVersion("edi", "1.0.0", "image", location={"image": "sha256:00"})
    store = SimpleNamespace(components=lambda: {"shop": [version], "edi": [image]})
    leader = ForgottenArtifacts(lambda: SimpleNamespace(store=store), Shelf(tmp_path))

    leader.look(1000 + 3500)
    assert len(list(tmp_path.iterdir())) == 2
    leader.look(1000 + 3700)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAMED}.tar.gz"]


def test_while_nobody_says_what_is_named_nothing_goes(tmp_path):
    (tmp_path / f"{NAMED}.tar.gz").write_bytes(b"")
    os.utime(tmp_path / f"{NAMED}.tar.gz", (1000, 1000))

    def away() -> None:
        raise ServerUnreachable("Consul", "http://127.0.0.1:1", "it is away")

    leader = ForgottenArtifacts(lambda: SimpleNamespace(store=SimpleNamespace(components=away)), Shelf(tmp_path))
    leader.close()
    leader._turn()
    assert len(list(tmp_path.iterdir())) == 1

"""docs/components.md: its files are made and its commands run, and they print what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/components.md"
FILE = re.compile(r"^\*\*([\w./]+)\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SESSION = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(session: str) -> list[tuple[str, str]]:
    """Each command, its further lines marked `> `, with what it is said to print."""
    found: list[tuple[str, str]] = []
    for line in session.splitlines(keepends=True):
        command, said = found[-1] if found else ("", "")
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> "):
            found[-1] = (command + line[2:], said)
        else:
            found[-1] = (command, said + line)
    return found


def test_every_example_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    text = GUIDE.read_text("utf-8")
    for name, content in FILE.findall(text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONWARNINGS": ""}
    for session in SESSION.findall(text):
        for command, said in commands(session):
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environ, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            assert done.stdout == said, command

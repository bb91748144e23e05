"""Reads what is new in a folder, each tick from where the last one ended.

The snapshot holds per file how far it was read: `offset`, and the `digest` of everything before it, which tells a file
that was appended to from one that was replaced. A checkpoint every few hundred messages (`end` of the batch, how many
of its messages are `done`) keeps a step that is killed again and again from starting over each time.

A row that cannot be read is told in an error record that names file and line. The record is out before the snapshot
says that the row was passed, so it is told once and never lost; the rows around it become messages.
"""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from batch import Layout, messages
from progress import Progress
from records import Ripeness, read_batch

from nomadflows.runtime import Context, Message, Snapshot

Json = dict[str, Any]

CHECKPOINT: Final = 200  # messages
QUIET_S: Final = 0.5  # a file that changed less long ago may still be being written …
PATIENCE_S: Final = 3.0  # … and is waited for so long
SETTLED_S: Final = 5.0  # a last line without its end is whole after so long; writers with a buffer pause in mid-line
OTHER_CLOCK_S: Final = 60.0  # changed so far in the future: another machine's clock, or a time that was set
TOLD: Final = 20  # bad rows named in one error record
_PATTERNS: Final = {"csv": "*.csv", "jsonl": "*.jsonl"}


def process(message: Message, config: Json, snapshot: Json, context: Context) -> Iterator[Message | Snapshot]:
    folder, layout = _folder(config), Layout.of(config)
    names = _names(folder, config.get("pattern") or _PATTERNS[layout.format])
    known: dict[str, Json] = snapshot.get("files", {})
    files = {name: state for name, state in known.items() if name in names}
    if len(files) < len(known):
        yield Snapshot({"files": files})
    for name in names:
        try:
            for item in _read(folder / name, files.get(name, {}), layout, context):
                if not isinstance(item, Progress):
                    yield item
                elif files.get(name) != item.state():
                    files[name] = item.state()
                    yield Snapshot({"files": files})
        except FileNotFoundError:  # moved away while we looked: the next tick forgets it
            continue
        except (ValueError, OSError) as error:  # the other files are readable still
            context.emit("error", ValueError(f"{name}: {error}"))


def _folder(config: Json) -> Path:
    """A relative folder is meant from NOMADFLOWS_FILES_ROOT, else from where the step was started."""
    folder = Path(os.environ.get("NOMADFLOWS_FILES_ROOT", "")) / Path(str(config["path"])).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.absolute()}")
    return folder


def _names(folder: Path, pattern: str) -> list[str]:
    """Oldest first: of two files that speak of the same thing the newer has the last word."""
    with os.scandir(folder) as entries:
        found = [
            (entry.stat().st_mtime_ns, entry.name)
            for entry in entries
            if not entry.name.startswith(".") and fnmatch.fnmatchcase(entry.name, pattern) and entry.is_file()
        ]
    return [name for _, name in sorted(found)]


def _read(path: Path, state: Json, layout: Layout, context: Context) -> Iterator[Message | Progress]:
    """The messages in what is new in one file, and now and then how far they have come."""
    if Progress.is_current(state, path.stat()):
        return
    ripe = _wait_until_quiet(path)
    with path.open("rb") as file:
        progress = Progress(file, state)
        while True:
            begin = progress.begin
            part = read_batch(file, begin, layout, until=progress.batch_end, ripe=ripe)
            if part.problems and not progress.done:
                context.emit("error", ValueError(f"{path.name}: {_told(part.problems)}"))
            bodies = messages(part.rows, layout)
            for number in range(progress.done, len(bodies)):
                line, body = bodies[number]
                yield Message(body, {"x-file": path.name, "x-row": line})
                if (number + 1) % CHECKPOINT == 0 and number + 1 < len(bodies):
                    yield progress.within(part.end.offset, number + 1)
            yield progress.after(part.end)
            if part.end == begin:
                return


def _told(problems: list[str]) -> str:
    more = len(problems) - TOLD
    return "; ".join(problems[:TOLD]) + (f"; and {more} more" if more > 0 else "")


def _wait_until_quiet(path: Path) -> Ripeness:
    """Whether nobody has written to the file for a moment. Waits that moment, but not for somebody who goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while -OTHER_CLOCK_S < (age := time.time() - path.stat().st_mtime) < QUIET_S:
        if time.monotonic() > deadline:
            return Ripeness(complete=False, settled=False)
        time.sleep(QUIET_S - age if age >= 0 else QUIET_S)  # until the file could be quiet
    return Ripeness(complete=True, settled=not 0 <= age < SETTLED_S)

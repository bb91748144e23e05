"""`run --dev`: what is saved is deployed and published, and all steps' logs are one view.

Each save of a component makes a version `…-dev.<time>` of it, which comes after every version there is and before the
next release. One that no flow uses any more is deleted again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nomadflows.catalogue import recorded, shipped
from nomadflows.cli.component_deploy import deployed, remove
from nomadflows.cli.flow_define import read_definition, read_text
from nomadflows.cli.flow_logs import follow
from nomadflows.cli.flow_state import warm_up
from nomadflows.cli.wait import Goal, wait_for
from nomadflows.folder import files_of
from nomadflows.model.descriptor import dev_version
from nomadflows.model.errors import InputError, NomadflowsError, Refused
from nomadflows.model.freshness import component_of
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, WantedState, utc_now
from nomadflows.packing import read_component
from nomadflows.store.components import past

if TYPE_CHECKING:
    from nomadflows.cli.session import Session

_LOOK_S = 0.3

Saved = Mapping[Path, tuple[int, int]]  # file → time of its last change, size


@dataclass
class DevLoop:
    """Watches one flow file and folders of components: those that are named, else those the file uses at the moment."""

    session: Session
    file: str
    named: Sequence[Path]
    seconds: float
    _used: Sequence[Path] = ()  # by the file as it could last be read
    _made: list[str] = field(default_factory=list)  # versions of this loop, name@version

    def run(self) -> None:
        """Until KeyboardInterrupt. What fails at the beginning ends it; what fails later is told, and the flow runs on."""
        seen = self._saved()
        ref = self._bring_up()
        threading.Thread(target=self._follow, args=(ref,), daemon=True).start()
        watched = list(self._folders())
        names = ", ".join([self.file, *map(str, watched)])
        click.echo(f"Watching {names}; Ctrl-C ends this command, the flow runs on.", err=True)
        while True:
            seen = self._next(seen)
            for folder in self._folders():
                if folder not in watched:
                    watched.append(folder)
                    click.echo(f"Watching {folder} too.", err=True)
            try:
                self._bring_up()
            except NomadflowsError as error:
                click.echo(f"Not taken up: {error}", err=True)

    def _bring_up(self) -> FlowRef:
        from nomadflows.store import requests

        store, by = self.session.store, self.session.user
        fresh = [made for folder in self._folders() if (made := self._deploy(folder))]
        definition = read_definition(self.file, lambda: recorded(store))
        ref = self.session.ref(definition.flow)
        applied = requests.apply(store, ref, definition.to_json(), by=by)
        if fresh and not applied.draft:
            requests.redraft(store, ref, definition.to_json(), by=by)
        if fresh or applied.draft:
            note = ", ".join(fresh) or Path(self.file).name
            number = requests.publish(store, ref, by=by, note=f"saved: {note}", force=True)
            click.echo(f"{ref}: version {number} published ({note})", err=True)
        desired = wish_to_run(self.session, ref)
        goal = Goal(desired.generation, WantedState.RUNNING, desired.version)
        click.echo(warm_up(wait_for(store, ref, goal, self.seconds)), err=True)
        self._made += fresh
        self._tidy_up()
        return ref

    def _deploy(self, folder: Path) -> str:
        """The new version, or "" if the newest one has the same content."""
        try:
            return self._deployed(folder)
        except OSError as error:  # editors write files and take them away again
            raise NomadflowsError(f"{error.filename or folder} cannot be read: {error.strerror}") from error

    def _deployed(self, folder: Path) -> str:
        settings, now = self.session.settings, utc_now()
        found = read_component(folder, "", settings.step_node, settings.step_python)
        there = past(self.session.store, found.name)
        if there.versions and there.versions[0].digest == found.digest:
            return ""
        number = dev_version(found.version, there.numbers, now)
        return deployed(self.session, folder, version=number).ref

    def _tidy_up(self) -> None:
        for ref in self._made[:-1]:
            name, _, number = ref.partition("@")
            component = self.session.store.component(name, number)
            try:
                if component is not None:
                    remove(self.session, component)
            except Refused:
                continue  # a flow uses it still; the next save tries again
            self._made.remove(ref)

    def _follow(self, ref: FlowRef) -> None:
        try:
            follow(self.session, ref)
        except NomadflowsError as error:
            click.echo(f"Logs are not followed any more: {error}", err=True)

    def _next(self, seen: Saved) -> Saved:
        """Wait until something was saved, and nothing more is for a moment: editors write several files."""
        while (found := self._saved()) == seen:
            time.sleep(_LOOK_S)
        while (last := self._saved()) != found:
            found = last
            time.sleep(_LOOK_S)
        return found

    def _saved(self) -> Saved:
        return dict(_states([Path(self.file), *(path for folder in self._folders() for path in files_of(folder))]))

    def _folders(self) -> Sequence[Path]:
        if self.named:
            return self.named
        with suppress(InputError):  # what is wrong with the file is said when it is taken up
            self._used = folders_of(self.file)
        return self._used


def _states(paths: Sequence[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # between the writing of a new file and its taking the old one's name
            continue
        yield path, (status.st_mtime_ns, status.st_size)


def folders_of(file: str) -> list[Path]:
    """Of the components a flow file uses that are no built-in ones: `<name>` or `components/<name>` beside the file.
    InputError if it cannot be read."""
    import yaml

    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {error}") from error
    steps = content.get("steps") if isinstance(content, dict) else None
    steps = steps if isinstance(steps, list) else []
    names = dict.fromkeys(component_of(step) for step in steps if isinstance(step, dict))
    beside = Path(file).absolute().parent
    return [
        folder
        for name in names
        if name and name not in shipped()
        for folder in (beside / name, beside / "components" / name)
        if (folder / "component.json").is_file()
    ]


def wish_to_run(session: Session, ref: FlowRef) -> Desired:
    """What is wanted already, or a new wish. A publish over a running flow has changed the wish by itself."""
    from nomadflows.store import requests

    desired = requests.existing(session.store, ref).desired.value
    match desired.state:
        case WantedState.RUNNING:
            return desired
        case WantedState.SUSPENDED:
            return requests.resume(session.store, ref, by=session.user, why="nomadflows run")
        case WantedState.STOPPED:
            return requests.start(session.store, ref, by=session.user, why="nomadflows run")

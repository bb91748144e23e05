"""`flow logs`: what the steps' processes print, read through Nomad, each line with its step's name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError, NomadflowsError
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Status

if TYPE_CHECKING:
    from nomadflows.cluster.client import AllocView

_STREAMS = ("stdout", "stderr")
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue")


@click.command()
@flow_argument
@click.option("--step", "steps", multiple=True, metavar="STEP", help="Only this step; may be repeated.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, and say state changes, until Ctrl-C.")
@click.option("--tail", "-n", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each process.")
@click.option("--stream", type=click.Choice([*_STREAMS, "both"]), default="both", show_default=True)
@pass_session
def logs(session: Session, *, flow: str, steps: tuple[str, ...], follow: bool, tail: int | None, stream: str) -> None:
    """Print what the steps log.

    Shows the processes Nomad still knows: those that run, and recent ones.

    \b
    Examples:
      nomadflows flow logs orders-to-warehouse
      nomadflows flow logs orders-to-warehouse --step store --follow
      nomadflows flow logs orders-to-warehouse -n 20 --stream stderr
    """
    ref = session.ref(flow)
    status = existing(session, ref).status.value
    _check_steps(ref, steps, status)
    streams = _STREAMS if stream == "both" else (stream,)
    if follow:
        Follower(session, ref, steps, streams).run()
        return
    allocations = _allocations(session, ref, status, steps)
    if not allocations:
        click.echo(f"{ref} is {status.state}: Nomad knows no process of it.", err=True)
    printer = _Printer([allocation.group for allocation in allocations])
    for allocation in allocations:
        for name in streams:
            for line in deque(_lines(session, ref, allocation, name, follow=False), maxlen=tail):
                printer.line(allocation, line)


def follow(session: Session, ref: FlowRef) -> None:
    """State changes and every step's log, until KeyboardInterrupt."""
    Follower(session, ref, (), _STREAMS).run()


def _check_steps(ref: FlowRef, steps: Sequence[str], status: Status) -> None:
    known = [step.id for step in status.steps]
    for step in steps:
        if known and step not in known:
            raise InputError(f"{ref} has no step {step!r}", hint=f"steps: {', '.join(known)}")


def _allocations(session: Session, ref: FlowRef, status: Status, steps: Sequence[str]) -> list[AllocView]:
    """Processes of the version that is active, or was last; oldest first."""
    if not status.version:
        return []
    found = session.nomad.allocations(ref.workspace, ref.version(status.version).job_id)
    return sorted((a for a in found if not steps or a.group in steps), key=lambda a: (a.started or "", a.id))


def _lines(session: Session, ref: FlowRef, allocation: AllocView, stream: str, *, follow: bool) -> Iterator[str]:
    """The log of a process, line by line, however Nomad cuts it."""
    rest = ""
    for chunk in session.nomad.logs(ref.workspace, allocation.id, stream=stream, follow=follow):
        *lines, rest = (rest + chunk).split("\n")
        yield from lines
    if rest:
        yield rest


class _Printer:
    """Whole lines, one at a time, each with the name of its step in that step's colour."""

    def __init__(self, steps: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}
        self._width = max(map(len, steps), default=0)

    def line(self, allocation: AllocView, text: str) -> None:
        with self._lock:
            step = allocation.group
            colour = self._colours.setdefault(step, _COLOURS[len(self._colours) % len(_COLOURS)])
            self._width = max(self._width, len(step))
            click.echo(f"{click.style(f'{step:<{self._width}} {allocation.id[:8]}', fg=colour)} | {text}")

    def note(self, text: str) -> None:
        with self._lock:
            click.echo(click.style(f"-- {text}", bold=True), err=True)


class Follower:
    """Reads every process of a flow as it appears; one thread a stream, because each is a connection that blocks."""

    def __init__(self, session: Session, ref: FlowRef, steps: Sequence[str], streams: Sequence[str]) -> None:
        self._session, self._ref, self._steps, self._streams = session, ref, steps, streams
        self._printer = _Printer(steps)
        self._known: set[str] = set()
        self._state = ""

    def run(self) -> None:
        """Until KeyboardInterrupt or until the flow is deleted."""
        index = 0
        while True:
            record, index = self._session.store.wait_flow(self._ref, index, 1.0)
            status = record.status.value
            self._tell(status)
            for allocation in _allocations(self._session, self._ref, status, self._steps):
                if allocation.id not in self._known:
                    self._known.add(allocation.id)
                    for stream in self._streams:
                        threading.Thread(target=self._read, args=(allocation, stream), daemon=True).start()

    def _tell(self, status: Status) -> None:
        if status.state == self._state:
            return
        self._state = status.state
        reason = next((f": {c.message}" for c in status.conditions if c.type == "Ready"), "")
        self._printer.note(f"{self._ref} is {output.coloured_state(status.state)}{reason}")

    def _read(self, allocation: AllocView, stream: str) -> None:
        try:
            for line in _lines(self._session, self._ref, allocation, stream, follow=True):
                self._printer.line(allocation, line)
        except NomadflowsError as error:  # told, not raised: the other processes are still followed
            self._printer.note(f"log of {allocation.group} {allocation.id[:8]} ends: {error.message}")

"""`flow logs`: what the steps' processes print, read through Nomad, each line with its step's name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.log_lines import dated, log_text, of_execution
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError, NomadflowsError, Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Status

if TYPE_CHECKING:
    from nomadflows.cluster import AllocView
    from nomadflows.store import FlowRecord

_STREAMS = ("stdout", "stderr")
_BYTES_A_LINE = 160
_RECENT = 10  # versions; Nomad has forgotten the processes of older ones
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue")


@click.command()
@flow_argument
@click.option("--step", "steps", multiple=True, metavar="STEP", help="Only this step; may be repeated.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, and say state changes, until Ctrl-C.")
@click.option(
    "--tail",
    "-n",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the last N lines of each process, of those asked for; about N with --follow.",
)
@click.option("--execution", metavar="ID", default="", help="Only what was logged while working on this execution.")
@click.option("--raw", is_flag=True, help="Lines as the step wrote them: JSON.")
@click.option("--stream", type=click.Choice([*_STREAMS, "both"]), default="both", show_default=True)
@pass_session
def logs(
    session: Session,
    *,
    flow: str,
    steps: tuple[str, ...],
    follow: bool,
    tail: int | None,
    execution: str,
    raw: bool,
    stream: str,
) -> None:
    """Print what the steps log.

    Shows the processes Nomad still knows: those that run, and recent ones. With --execution also those of the last ten
    versions, since a publish may have come in between; with --follow of the active one only.

    \b
    Examples:
      nomadflows flow logs orders-to-warehouse
      nomadflows flow logs orders-to-warehouse --step store --follow
      nomadflows flow logs orders-to-warehouse -n 20 --stream stderr
      nomadflows flow logs orders-to-warehouse --execution 0b6c5f0e-7d0c-4f7e-9a53-5a3a1d0a2f11
    """
    ref = session.ref(flow)
    record = existing(session, ref)
    _check_steps(ref, steps, record.status.value)
    streams = _STREAMS if stream == "both" else (stream,)
    if follow:
        history = None if tail is None or execution else tail * _BYTES_A_LINE
        Follower(
            session,
            ref,
            _Printer(steps, raw=raw, execution=execution),
            steps=steps,
            streams=streams,
            history_bytes=history,
        ).run()
        return
    numbers = _recent(record) if execution else _active(record)
    allocations = _allocations(session, ref, numbers, steps)
    if not allocations:
        click.echo(f"{ref} is {record.status.value.state}: Nomad knows no process of it.", err=True)
    printer = _Printer([allocation.group for allocation in allocations], raw=raw, execution=execution)
    found = [
        (moment, allocation, line)
        for allocation in allocations
        for name in streams
        for moment, line in dated(_history(session, printer, allocation, name, tail))
    ]
    for _, allocation, line in sorted(found, key=lambda entry: entry[0]):
        printer.line(allocation, line)


def _history(
    session: Session, printer: _Printer, allocation: AllocView, stream: str, tail: int | None
) -> Iterable[str]:
    """Lines of other executions do not count: many may have come since."""
    try:
        lines = session.nomad.logs(allocation.namespace, allocation.id, stream)
        return deque(filter(printer.wants, lines), maxlen=tail)
    except Refused as error:  # its files are gone already, or not there yet; others' may be
        printer.note(f"no {stream} of {allocation.group} {allocation.id[:8]}: {error.message}")
        return ()


def follow(session: Session, ref: FlowRef) -> None:
    """State changes and every step's log, until KeyboardInterrupt."""
    Follower(session, ref, _Printer((), raw=False), history_bytes=20 * _BYTES_A_LINE).run()


def _check_steps(ref: FlowRef, steps: Sequence[str], status: Status) -> None:
    known = [step.id for step in status.steps]
    for step in steps:
        if known and step not in known:
            raise InputError(f"{ref} has no step {step!r}", hint=f"steps: {', '.join(known)}")


def _active(record: FlowRecord) -> list[int]:
    """The version that is active, or was last."""
    number = record.status.value.version or record.desired.value.version
    return [number] if number else []


def _recent(record: FlowRecord) -> list[int]:
    """An execution may have passed through versions that are replaced by now."""
    latest = record.meta.value.latest
    return sorted({*_active(record), *range(max(1, latest - _RECENT + 1), latest + 1)})


def _allocations(session: Session, ref: FlowRef, numbers: Sequence[int], steps: Sequence[str]) -> list[AllocView]:
    """Processes of those versions, oldest first. Nomad knows them for a while after a purge."""
    return [
        allocation
        for number in numbers
        for allocation in reversed(session.nomad.allocations(ref.workspace, ref.version(number).job_id))
        if not steps or allocation.group in steps
    ]


class _Printer:
    """Whole lines, one at a time, each with the name of its step in that step's colour."""

    def __init__(self, steps: Sequence[str], *, raw: bool, execution: str = "") -> None:
        self._execution = execution
        self._shown = str if raw else log_text
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}
        self._width = max(map(len, steps), default=0)

    def wants(self, text: str) -> bool:
        return not self._execution or of_execution(text, self._execution)

    def line(self, allocation: AllocView, text: str) -> None:
        if not self.wants(text):
            return
        with self._lock:
            step = allocation.group
            colour = self._colours.setdefault(step, _COLOURS[len(self._colours) % len(_COLOURS)])
            self._width = max(self._width, len(step))
            click.echo(f"{click.style(f'{step:<{self._width}} {allocation.id[:8]}', fg=colour)} | {self._shown(text)}")

    def note(self, text: str) -> None:
        with self._lock:
            click.echo(click.style(f"-- {text}", bold=True), err=True)


class Follower:
    """Reads every process of a flow as it appears; one thread a stream, because each is a connection that blocks."""

    def __init__(
        self, session: Session, ref: FlowRef, printer: _Printer, *, steps: Sequence[str] = (),
        streams: Sequence[str] = _STREAMS, history_bytes: int | None = None,
    ) -> None:  # fmt: skip
        self._session, self._ref, self._printer, self._steps, self._streams = session, ref, printer, steps, streams
        self._history_bytes = history_bytes  # of processes that are there already; of later ones everything is shown
        self._known: set[str] = set()
        self._state = ""

    def run(self) -> None:
        """Until KeyboardInterrupt or until the flow is deleted."""
        index, history = 0, self._history_bytes
        while True:
            record, index = self._session.store.wait_flow(self._ref, index, 1.0)
            self._tell(record.status.value)
            for allocation in _allocations(self._session, self._ref, _active(record), self._steps):
                if allocation.started and allocation.id not in self._known:  # before, it has no log
                    self._known.add(allocation.id)
                    for stream in self._streams:
                        threading.Thread(target=self._read, args=(allocation, stream, history), daemon=True).start()
            history = None

    def _tell(self, status: Status) -> None:
        if status.state == self._state:
            return
        self._state = status.state
        reason = next((f": {c.message}" for c in status.conditions if c.type == "Ready"), "")
        self._printer.note(f"{self._ref} is {output.coloured_state(status.state)}{reason}")

    def _read(self, allocation: AllocView, stream: str, tail_bytes: int | None) -> None:
        nomad, workspace = self._session.nomad, self._ref.workspace
        try:
            for line in nomad.logs(workspace, allocation.id, stream, follow=True, tail_bytes=tail_bytes):
                self._printer.line(allocation, line)
        except NomadflowsError as error:  # told, not raised: the other processes are still followed
            self._printer.note(f"log of {allocation.group} {allocation.id[:8]} ends: {error.message}")

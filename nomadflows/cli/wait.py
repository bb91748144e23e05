"""`--wait`: follow a flow until what was asked for has come about, and show how far it is.

On a terminal one line that changes, elsewhere one line per change; both on stderr, so that stdout holds the
result alone. A wait that runs out ends the command (exit code 4), never the work.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nomadflows.cli import output
from nomadflows.model.errors import Conflict, Refused, WaitTimeout
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Status, StepState, WantedState

if TYPE_CHECKING:
    from nomadflows.store import FlowRecord, Store

DEFAULT_S = 120.0
_UNHEARD_S = 4.0

F = TypeVar("F", bound=Callable[..., Any])


def wait_options(function: F) -> F:
    """`--wait` and `--wait-timeout`, for a command that takes `wait` and `wait_timeout` (seconds)."""
    function = click.option(
        "--wait-timeout",
        type=click.FloatRange(min=0),
        default=DEFAULT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long --wait waits; then exit code 4.",
    )(function)
    return click.option("--wait", is_flag=True, help="Follow until it is done.")(function)


@dataclass(frozen=True)
class Goal:
    """What a wait waits for, of a wish of one generation."""

    generation: int
    wanted: WantedState
    version: int = 0  # 0: whichever

    def reached(self, status: Status) -> bool:
        if status.observed_generation < self.generation or status.state not in _STATES[self.wanted]:
            return False
        return self.wanted is not WantedState.RUNNING or self.version in {0, status.version}


_STATES = {
    WantedState.RUNNING: {FlowState.RUNNING, FlowState.SLEEPING},
    WantedState.STOPPED: {FlowState.STOPPED},
    WantedState.SUSPENDED: {FlowState.SUSPENDED},
}


def wait_for(store: Store, ref: FlowRef, goal: Goal, seconds: float) -> FlowRecord:
    """Until the goal is reached. Raises what makes it unreachable, or WaitTimeout."""
    return _follow(
        store, ref, seconds, lambda desired, status: goal.reached(status) or _overtaken(ref, goal, desired, status)
    )


def wait_for_tick(store: Store, ref: FlowRef, before: str, seconds: float) -> FlowRecord:
    """Until the trigger got a tick newer than `before`."""
    return _follow(store, ref, seconds, lambda _, status: bool(status.last_tick) and status.last_tick != before)


def _overtaken(ref: FlowRef, goal: Goal, desired: Desired, status: Status) -> bool:
    """Somebody, the controller included, wants something else by now: the goal will not be reached."""
    if desired.generation <= goal.generation or desired.state is goal.wanted:
        return False
    reasons = "; ".join(c.message for c in status.conditions if c.status == "False")
    message = f"{ref}: {desired.by or 'somebody'} asked for {desired.state} meanwhile"
    if desired.state is WantedState.SUSPENDED:
        raise Refused(
            f"{message}: {desired.why or reasons}", hint=f"nomadflows flow show {ref.flow} -w {ref.workspace}"
        )
    raise Conflict(f"{message}: {desired.why}" if desired.why else message)


def _follow(store: Store, ref: FlowRef, seconds: float, done: Callable[[Desired, Status], bool]) -> FlowRecord:
    begun = time.monotonic()
    index = 0
    with _progress() as progress:
        while True:
            record, index = store.wait_flow(
                ref, index, max(0.0, min(progress.look_s, begun + seconds - time.monotonic()))
            )
            desired, status = record.desired.value, record.status.value
            elapsed = time.monotonic() - begun
            progress.line(status, elapsed)
            if done(desired, status):
                return record
            if elapsed > _UNHEARD_S and status.observed_generation < desired.generation:
                progress.note(_unheard(store))
            if elapsed >= seconds:
                raise _ran_out(ref, status, seconds)


def _unheard(store: Store) -> str:
    leader = store.client.get(store.keys.leader)
    if leader is None or not leader.session:
        return "no controller runs, so nothing happens: `nomadflows controller run`, or `nomadflows dev up` for a local one"
    return "the controller has not taken this up yet; its log says why, and `nomadflows doctor` looks closer"


def _ran_out(ref: FlowRef, status: Status, seconds: float) -> WaitTimeout:
    reasons = [f"{c.reason}: {c.message}" for c in status.conditions if c.status != "True"]
    return WaitTimeout(
        f"{ref} is {status.state} after {seconds:g} s" + "".join(f"\n  {reason}" for reason in reasons),
        hint=f"the work goes on; see it with `nomadflows flow show {ref.flow} -w {ref.workspace}`",
    )


class _Lines:
    """One line per change."""

    look_s = 1.0

    def __init__(self) -> None:
        self._last = ""
        self._notes: set[str] = set()

    def line(self, status: Status, elapsed: float) -> None:
        text = _words(status)
        if text != self._last:
            click.echo(f"{elapsed:6.1f}s  {text}", err=True)
            self._last = text

    def note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.add(text)
            click.echo(f"         {text}", err=True)

    def close(self) -> None:
        """Nothing to tidy."""


class _Terminal(_Lines):
    """One line that is written over."""

    look_s = 0.2  # the line turns while nothing changes
    _TURN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def __init__(self) -> None:
        super().__init__()
        self._turns = 0

    def line(self, status: Status, elapsed: float) -> None:
        self._turns += 1
        head = f"{self._TURN[self._turns % len(self._TURN)]} {status.state} {elapsed:.1f}s "
        room = shutil.get_terminal_size().columns - len(head)
        steps = ""
        for step in status.steps:
            room -= len(step.id) + 3
            if room > 0 and not step.id.startswith("mapper:"):
                steps += f" {_mark(step.state)} {step.id}"
        sys.stderr.write(f"\r\x1b[2K{head.replace(status.state, output.coloured_state(status.state))}{steps}")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        if text not in self._notes:
            sys.stderr.write("\r\x1b[2K")
        super().note(text)

    def close(self) -> None:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _words(status: Status) -> str:
    ready = sum(step.state is StepState.RUNNING for step in status.steps)
    steps = (
        f", {ready} of {len(status.steps)} steps ready" if status.steps and status.state is FlowState.STARTING else ""
    )
    late = ", ".join(
        f"{s.id}: {s.message}" for s in status.steps if s.restarts and s.message and s.state is not StepState.RUNNING
    )
    return f"{status.state}{steps}" + (f" ({late})" if late else "")


def _mark(state: StepState) -> str:
    if state is StepState.RUNNING:
        return click.style("●", fg="green")
    return click.style("◐", fg="yellow") if state in {StepState.STARTING, StepState.SHUTTING_DOWN} else "○"


@contextmanager
def _progress() -> Iterator[_Lines]:
    progress = _Terminal() if sys.stderr.isatty() else _Lines()
    try:
        yield progress
    finally:
        progress.close()

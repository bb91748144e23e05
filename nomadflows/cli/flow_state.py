"""`flow start|stop|suspend|resume|run-now|enable-realtime|disable-realtime`: wishes, written to Consul."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nomadflows.cli import output, show
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.cli.wait import Goal, wait_for, wait_for_tick, wait_options
from nomadflows.model.errors import NotFound, Refused, ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Kind, WantedState

if TYPE_CHECKING:
    from nomadflows.store import FlowRecord

F = TypeVar("F", bound=Callable[..., Any])


def why_option(function: F) -> F:
    return click.option("--why", default="", metavar="TEXT", help="A reason, kept with the wish.")(function)


@click.command()
@flow_argument
@why_option
@wait_options
@pass_session
def start(session: Session, *, flow: str, why: str, wait: bool, wait_timeout: float) -> None:
    """Start the latest version of a flow.

    \b
    Examples:
      nomadflows flow start orders-to-warehouse
      nomadflows flow start orders-to-warehouse --wait --wait-timeout 30
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    desired = requests.start(session.store, ref, by=session.user, why=why)
    _report(
        session, ref, desired, asked=f"start of version {desired.version} requested", wait=wait, seconds=wait_timeout
    )


@click.command()
@flow_argument
@click.option("--drain", is_flag=True, help="Finish queued messages first; none is dropped.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@why_option
@wait_options
@pass_session
def stop(session: Session, *, flow: str, drain: bool, yes: bool, why: str, wait: bool, wait_timeout: float) -> None:
    """Stop a flow: its processes end, its queues are removed.

    Unprocessed messages are dropped; the command says how many and asks first. With --drain they are
    finished before the stop.

    \b
    Examples:
      nomadflows flow stop orders-to-warehouse
      nomadflows flow stop orders-to-warehouse --yes --wait
      nomadflows flow stop orders-to-warehouse --drain --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    record = existing(session, ref)
    if not drain and record.status.value.state is not FlowState.STOPPED:
        _confirm(ref, unprocessed(session, record), yes)
    desired = requests.stop(session.store, ref, by=session.user, why=why, drain=drain)
    _report(
        session,
        ref,
        desired,
        asked="stop requested" + (", after its queues are empty" if drain else ""),
        wait=wait,
        seconds=wait_timeout,
    )


@click.command()
@flow_argument
@why_option
@wait_options
@pass_session
def suspend(session: Session, *, flow: str, why: str, wait: bool, wait_timeout: float) -> None:
    """Pause a flow: its processes end, its messages are kept.

    \b
    Example:
      nomadflows flow suspend orders-to-warehouse --why "warehouse is under repair"
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    desired = requests.suspend(session.store, ref, by=session.user, why=why)
    _report(session, ref, desired, asked="suspension requested", wait=wait, seconds=wait_timeout)


@click.command()
@flow_argument
@click.option("--force", is_flag=True, help="Although the cause of the suspension is still there.")
@why_option
@wait_options
@pass_session
def resume(session: Session, *, flow: str, force: bool, why: str, wait: bool, wait_timeout: float) -> None:
    """Go on after a suspension.

    \b
    Example:
      nomadflows flow resume orders-to-warehouse --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    desired = requests.resume(session.store, ref, by=session.user, why=why, force=force)
    _report(session, ref, desired, asked="resumption requested", wait=wait, seconds=wait_timeout)


@click.command("run-now")
@flow_argument
@wait_options
@pass_session
def run_now(session: Session, *, flow: str, wait: bool, wait_timeout: float) -> None:
    """Give the trigger a tick now, whatever the schedule says. A sleeping flow is woken.

    \b
    Example:
      nomadflows flow run-now orders-to-warehouse --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    before = existing(session, ref).status.value.last_tick
    requests.run_now(session.store, ref, by=session.user)
    if not wait:
        report_wish(session, ref, f"{ref}: a tick is requested")
        return
    record = wait_for_tick(session.store, ref, before, wait_timeout)
    report_wish(session, ref, f"{ref}: the trigger got a tick at {record.status.value.last_tick}", record)


@click.command("enable-realtime")
@flow_argument
@pass_session
def enable_realtime(session: Session, flow: str) -> None:
    """Make a stopped flow real-time: its processes run from start to stop and never sleep.

    \b
    Example:
      nomadflows flow enable-realtime live-orders
    """
    _set_kind(session, flow, Kind.REALTIME)


@click.command("disable-realtime")
@flow_argument
@pass_session
def disable_realtime(session: Session, flow: str) -> None:
    """Make a stopped flow ordinary: it sleeps when its work is done.

    \b
    Example:
      nomadflows flow disable-realtime live-orders
    """
    _set_kind(session, flow, Kind.ORDINARY)


def _set_kind(session: Session, flow: str, kind: Kind) -> None:
    from nomadflows.store import requests

    ref = session.ref(flow)
    requests.set_kind(session.store, ref, kind, by=session.user)
    report_wish(session, ref, f"{ref} is {kind} from its next start on")


def existing(session: Session, ref: FlowRef) -> FlowRecord:
    """The flow, or NotFound with the way to find it or to bring it back."""
    from nomadflows.store import requests

    return requests.existing(session.store, ref)


def unprocessed(session: Session, record: FlowRecord) -> int | None:
    """How many messages wait in any version's queues, rebound or were set aside; None if the broker does not say."""
    status = record.status.value
    numbers = {status.version, status.replacing, status.incoming} - {0}
    if not numbers:
        return 0
    try:
        return session.broker.unprocessed([record.ref.version(number) for number in numbers])
    except (ServerUnreachable, NotFound):
        return None


def _confirm(ref: FlowRef, count: int | None, yes: bool) -> None:
    if count is None:
        loss = "RabbitMQ does not say how many messages wait; all of them are dropped"
    else:
        loss = f"{count} waiting message{'' if count == 1 else 's'} will be dropped, and those in work right now"
    click.echo(f"{ref}: {loss}.", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            f"{ref} is not stopped: nobody is there to confirm", hint="give --yes, or --drain to finish them first"
        )
    if not click.confirm("Stop it?", err=True):
        raise Refused(f"{ref} is not stopped")


def _report(session: Session, ref: FlowRef, desired: Desired, *, asked: str, wait: bool, seconds: float) -> None:
    """Say what was asked for, or with --wait what came of it."""
    if not wait:
        report_wish(session, ref, f"{ref}: {asked}")
        return
    goal = Goal(desired.generation, desired.state, desired.version if desired.state is WantedState.RUNNING else 0)
    record = wait_for(session.store, ref, goal, seconds)
    report_wish(session, ref, warm_up(record), record)


def outcome(record: FlowRecord) -> str:
    """The end of a wait, in a sentence."""
    status = record.status.value
    if status.state is FlowState.STOPPED:
        return f"{record.ref} is Stopped; {status.dropped} message{'' if status.dropped == 1 else 's'} dropped"
    warm_up = f"; warm-up {status.warm_up_s:.2f} s" if status.warm_up_s is not None else ""
    return f"{record.ref} is {status.state}, version {status.version}{warm_up}"


def warm_up(record: FlowRecord) -> str:
    """`outcome`, and how long each step took; in a hand-over one begins when the one before is ready."""
    steps = [step for step in record.status.value.steps if step.ready_s is not None]
    up = record.status.value.state in {FlowState.RUNNING, FlowState.SLEEPING}
    if not up or not steps:
        return outcome(record)
    rows = [[step.id, step.component, f"{step.ready_s:.2f} s"] for step in steps]
    return f"{outcome(record)}\n{output.table(['STEP', 'COMPONENT', 'READY AFTER'], rows)}"


def report_wish(session: Session, ref: FlowRef, sentence: str, record: FlowRecord | None = None) -> None:
    """A sentence for people, the flow as `flow show` gives it for programs."""
    if session.output == "table":
        click.echo(sentence)
    else:
        output.emit(session.output, show.show_json(record or existing(session, ref)), lambda: sentence)

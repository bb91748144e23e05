"""`flow scale|pause-repair|resume-repair`: settings of a flow that a running one takes over without a restart."""

from __future__ import annotations

import click

from nomadflows.cli.flow_state import report_wish, why_option
from nomadflows.cli.session import Session, flow_argument, pass_session


def _count(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """A number of processes, None for `auto`."""
    return None if value == "auto" else int(click.IntRange(1, 20)(value, parameter, context))


@click.command()
@flow_argument
@click.argument("step")
@click.argument("count", metavar="N|auto", callback=_count)
@pass_session
def scale(session: Session, *, flow: str, step: str, count: int | None) -> None:
    """Run a step in N processes, 1 to 20. Those that run already are not restarted.

    Holds through stop and start, until a version is published that changes the step's `replicas`. A step with
    `autoscale` is pinned to N. `auto` ends it: the step runs as its version says, by `replicas` or `autoscale`.
    Mappers behind the step keep pace with it.

    \b
    Examples:
      nomadflows flow scale orders-to-warehouse store 4
      nomadflows flow scale orders-to-warehouse store auto
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    requests.scale(session.store, ref, step, count, by=session.user)
    wanted = f"{count} process{'' if count == 1 else 'es'}" if count else "as many processes as its version says"
    report_wish(session, ref, f"{ref}: {wanted} of {step} wanted")


@click.command("pause-repair")
@flow_argument
@why_option
@pass_session
def pause_repair(session: Session, *, flow: str, why: str) -> None:
    """Leave what was changed by hand in Nomad or RabbitMQ as it is; `flow show` still tells of it.

    Parking and waking, start and stop go on meanwhile, unless something is not as it should be.

    \b
    Example:
      nomadflows flow pause-repair orders-to-warehouse --why "debugging the store step"
    """
    _set(session, flow, why, repair=False)


@click.command("resume-repair")
@flow_argument
@why_option
@pass_session
def resume_repair(session: Session, *, flow: str, why: str) -> None:
    """Put right again what others change in the servers.

    \b
    Example:
      nomadflows flow resume-repair orders-to-warehouse
    """
    _set(session, flow, why, repair=True)


def _set(session: Session, flow: str, why: str, *, repair: bool) -> None:
    from nomadflows.store import requests

    ref = session.ref(flow)
    requests.set_repair(session.store, ref, repair=repair, by=session.user, why=why)
    report_wish(session, ref, f"{ref}: drift is {'repaired again' if repair else 'told, not repaired'}")

"""`nomadflows run`: one command from a flow file to its result."""

from __future__ import annotations

import click

from nomadflows.catalogue import recorded
from nomadflows.cli import output
from nomadflows.cli.flow_define import file_argument, read_definition
from nomadflows.cli.flow_logs import follow
from nomadflows.cli.flow_state import existing, outcome
from nomadflows.cli.session import Session, pass_session
from nomadflows.cli.wait import DEFAULT_S, Goal, wait_for
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, WantedState


@click.command()
@file_argument
@click.option("--detach", "-d", is_flag=True, help="Do not follow; end when the flow runs.")
@click.option(
    "--wait-timeout",
    type=click.FloatRange(min=0),
    default=DEFAULT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the start may take; then exit code 4.",
)
@pass_session
def run(session: Session, *, file: str, detach: bool, wait_timeout: float) -> None:
    """From a flow file to its result: apply, publish, start, follow.

    Follows states and logs until Ctrl-C; the flow runs on. A file that is already published and running is
    just followed; one that differs becomes the next version.

    \b
    Examples:
      nomadflows run examples/orders-to-warehouse.yaml
      nomadflows run --detach examples/live-orders.yaml
    """
    from nomadflows.store import requests

    definition = read_definition(file, lambda: recorded(session.store))
    ref = session.ref(definition.flow)
    applied = requests.apply(session.store, ref, definition.to_json(), by=session.user)
    click.echo(f"{ref}: {'applied' if applied.changed else 'unchanged'}", err=True)
    if applied.draft:
        number = requests.publish(session.store, ref, by=session.user)
        click.echo(f"{ref}: version {number} published", err=True)
    desired = _wish_to_run(session, ref)
    record = wait_for(session.store, ref, Goal(desired.generation, WantedState.RUNNING, desired.version), wait_timeout)
    click.echo(outcome(record), err=True)
    if detach:
        return
    click.echo(
        f"Following; Ctrl-C ends this command, the flow runs on. To end it: nomadflows flow stop {ref.flow}", err=True
    )
    try:
        follow(session, ref)
    except KeyboardInterrupt:
        click.echo(
            f"\n{ref} runs on; it is {output.coloured_state(existing(session, ref).status.value.state)}.", err=True
        )


def _wish_to_run(session: Session, ref: FlowRef) -> Desired:
    """What is wanted already, or a new wish. A publish over a running flow has changed the wish by itself."""
    from nomadflows.store import requests

    desired = existing(session, ref).desired.value
    match desired.state:
        case WantedState.RUNNING:
            return desired
        case WantedState.SUSPENDED:
            return requests.resume(session.store, ref, by=session.user, why="nomadflows run")
        case WantedState.STOPPED:
            return requests.start(session.store, ref, by=session.user, why="nomadflows run")

"""`nomadflows run`: one command from a flow file to its result."""

from __future__ import annotations

from pathlib import Path

import click

from nomadflows.catalogue import recorded
from nomadflows.cli import output
from nomadflows.cli.flow_define import file_argument, read_definition
from nomadflows.cli.flow_logs import follow
from nomadflows.cli.flow_state import existing, outcome
from nomadflows.cli.freshness import warn
from nomadflows.cli.session import Session, pass_session
from nomadflows.cli.wait import DEFAULT_S, Goal, wait_for
from nomadflows.model.errors import InputError
from nomadflows.model.states import WantedState


@click.command()
@file_argument
@click.option("--dev", is_flag=True, help="Watch the flow file and its components; deploy and publish what is saved.")
@click.option(
    "--component",
    "components",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="With --dev: a component to watch; default: those the flow uses, in DIR or components/DIR beside the file.",
)
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
def run(
    session: Session, *, file: str, dev: bool, components: tuple[Path, ...], detach: bool, wait_timeout: float
) -> None:
    """From a flow file to its result: apply, publish, start, follow.

    Follows states and logs until Ctrl-C; the flow runs on. A file that is already published and running is
    just followed; one that differs becomes the next version. With --dev what is saved from then on is taken up: a
    component's folder is deployed, the flow published, its steps restarted; logs go on in the same view.

    \b
    Examples:
      nomadflows run examples/orders-to-warehouse.yaml
      nomadflows run --detach examples/live-orders.yaml
      nomadflows run --dev my-flow.yaml
    """
    from nomadflows.cli.dev_loop import wish_to_run
    from nomadflows.store import requests

    if dev:
        _develop(session, file, components, detach=detach, seconds=wait_timeout)
        return
    if components:
        raise InputError("--component goes with --dev", hint="`nomadflows component deploy DIR` deploys one")

    definition = read_definition(file, lambda: recorded(session.store))
    ref = session.ref(definition.flow)
    applied = requests.apply(session.store, ref, definition.to_json(), by=session.user)
    click.echo(f"{ref}: {'applied' if applied.changed else 'unchanged'}", err=True)
    warn(session.store, definition.to_json())
    if applied.draft:
        number = requests.publish(session.store, ref, by=session.user)
        click.echo(f"{ref}: version {number} published", err=True)
    desired = wish_to_run(session, ref)
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


def _develop(session: Session, file: str, components: tuple[Path, ...], *, detach: bool, seconds: float) -> None:
    from nomadflows.cli.dev_loop import DevLoop

    if detach or file == "-":
        raise InputError("--dev watches a file and follows the flow; neither --detach nor standard input goes with it")
    loop = DevLoop(session, file, components, seconds)
    try:
        loop.run()
    except KeyboardInterrupt:
        click.echo("\nNo longer watched; the flow runs on.", err=True)

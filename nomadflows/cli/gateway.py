"""`nomadflows gateway run`."""

from __future__ import annotations

import click

from nomadflows.cli.session import Session, pass_session


@click.group("gateway")
def gateway_group() -> None:
    """The process that takes webhooks and REST calls.

    \b
    Example:
      nomadflows gateway run
    """


@gateway_group.command()
@click.option("--bind", metavar="HOST:PORT", help="Where to listen; also NOMADFLOWS_GATEWAY_BIND.")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
@pass_session
def run(session: Session, *, bind: str | None, verbose: bool) -> None:
    """Run a gateway until SIGTERM; requests it has taken are answered first.

    Any number may run, on one host or several.

    \b
    Examples:
      nomadflows gateway run
      nomadflows gateway run --bind 0.0.0.0:8080
    """
    from nomadflows.cli.process_log import log_to_stdout
    from nomadflows.gateway.run import run as run_gateway

    if bind:
        session.flags["gateway_bind"] = bind
    log_to_stdout(verbose)
    run_gateway(session.settings)

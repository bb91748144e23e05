"""`nomadflows controller run`."""

from __future__ import annotations

import signal
import threading

import click

from nomadflows.cli.session import Session, pass_session


@click.group("controller")
def controller_group() -> None:
    """The process that starts, parks and wakes flows.

    \b
    Example:
      nomadflows controller run
    """


@controller_group.command()
@click.option("--verbose", "-v", is_flag=True, help="Also log each act and its reason.")
@pass_session
def run(session: Session, *, verbose: bool) -> None:
    """Run a controller until SIGTERM.

    Any number may run; one leads, the others take over when it goes.

    \b
    Examples:
      nomadflows controller run
      CONSUL_HTTP_ADDR=https://consul:8501 nomadflows controller run --verbose
    """
    from nomadflows.cli.process_log import log_to_stdout
    from nomadflows.controller import health
    from nomadflows.controller.run import Controller
    from nomadflows.gateway.serve import serve_component_api

    log_to_stdout(verbose)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    controller = Controller(session.settings, stop)
    routes = health.routes(lambda: controller.is_leader, controller.problem, controller.crippled)
    serve_component_api(session.settings, stop, routes)
    controller.run()

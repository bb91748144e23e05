"""`nomadflows flow`: the group; each command's code is loaded when it runs."""

from __future__ import annotations

import click

from nomadflows.cli.commands import FLOW_SECTIONS
from nomadflows.cli.root import LazyGroup


@click.group(cls=LazyGroup, sections=FLOW_SECTIONS)
def flow() -> None:
    """List, show, change, publish, start and stop flows.

    FLOW is a flow's name, in the workspace of -w, or WORKSPACE/FLOW.

    \b
    Examples:
      nomadflows flow validate examples/orders-to-warehouse.yaml
      nomadflows flow list
      nomadflows flow show orders-to-warehouse -o json
      nomadflows flow start orders-to-warehouse --wait
    """

"""`flow update-components`: a draft whose steps use the newest component versions."""

from __future__ import annotations

import click

from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.freshness import Fresh
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import Refused
from nomadflows.model.freshness import only_newer, updated


@click.command("update-components")
@flow_argument
@pass_session
def update_components(session: Session, flow: str) -> None:
    """Make a draft that uses the newest version of every component. What runs is not touched until it is published.

    A step that names a version is moved to the newest one. A step that names none stays as it is written: the publish
    gives it the newest.

    \b
    Examples:
      nomadflows flow list --outdated
      nomadflows flow update-components orders-to-warehouse
      nomadflows flow publish orders-to-warehouse --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    record = existing(session, ref)
    definition = requests.draft_of(session.store, record)
    if definition is None:
        raise Refused(f"{ref} has neither a draft nor a version", hint="`nomadflows flow apply FILE` stores one")
    found = only_newer(Fresh(session.store).of_draft(record, definition))
    if found:
        requests.redraft(session.store, ref, updated(definition, found), by=session.user)
    output.emit(
        session.output,
        {"workspace": ref.workspace, "flow": ref.flow, "draft": bool(found), "steps": [one.to_json() for one in found]},
        lambda: "\n".join(
            [
                f"{ref}: the draft is stored",
                *(f"  {one.step}: {one.component} → {one.newest.partition('@')[2]}" for one in found),
                f"  next: nomadflows flow publish {ref.flow}",
            ]
            if found
            else [f"{ref}: every step uses the newest version"]
        ),
    )

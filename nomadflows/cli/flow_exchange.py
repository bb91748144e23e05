"""`flow export|import`: definitions taken out and brought in, as flow files or as elastic.io's documents."""

from __future__ import annotations

import json
from typing import Any

import click

from nomadflows.catalogue import recorded
from nomadflows.cli import output
from nomadflows.cli.flow_define import file_argument, read_definition, read_text
from nomadflows.cli.flow_state import existing
from nomadflows.cli.flow_versions import definition_of
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError


@click.command()
@flow_argument
@click.option("--version", "number", type=click.IntRange(min=1), metavar="N", help="Version N instead of the latest.")
@click.option("--draft", is_flag=True, help="The draft instead of the latest version.")
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json", "elasticio"]), default=None,
    help="A flow file (YAML, or JSON with -o json), or elastic.io's JSON.",
)  # fmt: skip
@pass_session
def export(session: Session, *, flow: str, number: int | None, draft: bool, form: str | None) -> None:
    """Print a definition as a flow file, which `flow apply` and `flow import` read.

    Credentials are named in it, their values are not. Components are pinned as far as the definition pins them.

    \b
    Examples:
      nomadflows flow export orders-to-warehouse > orders.yaml
      nomadflows flow export orders-to-warehouse --version 3
      nomadflows flow export orders-to-warehouse --format elasticio > orders.json
      nomadflows flow export orders-to-warehouse -w test | nomadflows flow import - -w production
    """
    from nomadflows.model.elasticio_out import write_graph
    from nomadflows.model.flowtext import flow_text

    if draft and number:
        raise InputError("--draft and --version name two definitions; allowed: one of them")
    record = existing(session, session.ref(flow))
    definition = definition_of(session, record, "draft" if draft else str(number or "latest"))
    if form == "elasticio":
        output.emit("json", write_graph(definition), str)
    elif form == "json" or (form is None and session.output == "json"):
        output.emit("json", definition, str)
    else:
        click.echo(flow_text(definition), nl=False)


@click.command("import")
@file_argument
@click.option("--name", metavar="FLOW", help="Call the flow this, whatever the file says.")
@click.option(
    "--component", "components", multiple=True, metavar="REPO=NAME",
    help="What a graph's repo (or team/repo) is called here, if not the same; may be repeated.",
)  # fmt: skip
@pass_session
def import_(session: Session, *, file: str, name: str | None, components: tuple[str, ...]) -> None:
    """Make a new flow of a flow file; its draft is stored. A flow that exists is refused: see `flow apply`.

    Also reads a flow as elastic.io keeps it (JSON with nodes and edges). A credential is then called as its id there.

    \b
    Examples:
      nomadflows flow import orders.yaml
      nomadflows flow import orders.yaml --name orders-copy
      nomadflows flow import flow.json --component acme/petstore-nodejs=petstore
    """
    from nomadflows.store import requests

    text = _as_flow_file(read_text(file), name or "", components)
    definition = read_definition(file, lambda: recorded(session.store), text)
    ref = session.ref(name or definition.flow)
    requests.create(session.store, ref, definition.to_json() | {"flow": ref.flow}, by=session.user)
    output.emit(
        session.output,
        {"workspace": ref.workspace, "flow": ref.flow, "created": True, "changed": True, "draft": True},
        lambda: f"{ref} is created; its draft is stored\n  next: nomadflows flow publish {ref.flow}",
    )


def _as_flow_file(text: str, name: str, components: tuple[str, ...]) -> str:
    """A graph as the flow file it stands for, so that it is checked like one; any other text as it is."""
    from nomadflows.model.elasticio import is_graph, read_graph
    from nomadflows.model.flowtext import flow_text

    data = _json(text)
    if not is_graph(data):
        if components:
            raise InputError("--component is for graphs of elastic.io; a flow file names its components itself")
        return text
    called = dict(pair.partition("=")[::2] for pair in components)
    return flow_text(read_graph(data, called, name))


def _json(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # told by the reader of flow files, with its line
        return None

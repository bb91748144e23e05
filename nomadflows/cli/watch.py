"""`--watch`: print a flow again whenever it changes, until Ctrl-C."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from nomadflows.cli import show
from nomadflows.cli.flow_state import existing
from nomadflows.cli.session import Session
from nomadflows.model.names import FlowRef

if TYPE_CHECKING:
    from nomadflows.store import FlowRecord

_AGES_S = 1.0  # on a terminal, where ages grow while nothing else changes
_WAIT_S = 5.0  # a flow that was deleted, or wished otherwise, is no change of its status


def watch(session: Session, ref: FlowRef) -> None:
    """On a terminal the screen is drawn anew; elsewhere each change is one more line of JSON, or one more text."""
    shown, index = "", 0
    drawn = sys.stdout.isatty() and session.output == "table"
    existing(session, ref)  # whose refusal says more
    while True:
        record, index = session.store.wait_flow(ref, index, _AGES_S if drawn else _WAIT_S)
        text = _text(session.output, record)
        if text == shown:
            continue
        shown = text
        if drawn:
            click.echo(f"\x1b[H{_cleared(text)}\x1b[J", nl=False)
        else:
            click.echo(text)
        sys.stdout.flush()


def _cleared(text: str) -> str:
    """Each line wipes what was longer before it: a screen that is cleared first would flicker."""
    return "".join(f"{line}\x1b[K\n" for line in text.splitlines())


def _text(form: str, record: FlowRecord) -> str:
    if form == "json":
        return json.dumps(show.show_json(record), ensure_ascii=False)
    if form == "yaml":
        import yaml

        return "---\n" + str(yaml.safe_dump(show.show_json(record), sort_keys=False, allow_unicode=True)).rstrip()
    return show.show_text(record)

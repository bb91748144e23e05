"""`component test`: one message through the component of a folder, on this machine, without any server."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from nomadflows.cli import output
from nomadflows.cli.jsonfile import JSON_FILE, json_object
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NomadflowsError

if TYPE_CHECKING:
    from nomadflows.runtime.trial import Emitted, Trial

Json = dict[str, Any]

_SHORTEST_SECRET: Final = 4  # characters; what is shorter cannot be told from any other text
_GROUPS: Final = {"data": "data", "error": "errors", "rebound": "rebounds", "reply": "replies", "updateKeys": "keys"}


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--function", "-f", required=True, metavar="NAME", help="The trigger or action.")
@click.option(
    "--message", "-m", type=JSON_FILE, metavar="FILE", help="JSON: a message with `body`, or a body; - reads stdin."
)
@click.option("--config", "-c", type=JSON_FILE, metavar="FILE", help="JSON: the function's settings.")
@click.option("--credential", type=JSON_FILE, metavar="FILE", help="JSON: the members of a credential; never printed.")
@click.option("--snapshot", "-s", type=JSON_FILE, metavar="FILE", help="JSON: the state that it finds.")
@click.option("--variable", "variables", multiple=True, metavar="NAME=TEXT", help="A variable of the flow; repeatable.")
@click.option("--times", type=click.IntRange(min=1), default=1, help="Give the message so often; the state is kept.")
@pass_session
def test(
    session: Session,
    *,
    folder: Path,
    function: str,
    message: IO[str] | None,
    config: IO[str] | None,
    credential: IO[str] | None,
    snapshot: IO[str] | None,
    variables: tuple[str, ...],
    times: int,
) -> None:
    """Give the component in the folder DIR one message, and print what it makes of it.

    It runs here, as a step would run it: `init`, then `process`, a caller waiting for a reply; not `startup` and
    `shutdown`, which act upon other systems. Nothing is deployed, no server is asked. Packages of its requirements.txt
    are installed for the time being. Without --message it gets an empty one, as a polling trigger does. What it logs
    and prints goes to stderr.

    Exit code 1: it failed. A rebound is no failure.

    \b
    Examples:
      nomadflows component test ./my-connector --function fetch --config config.json
      nomadflows component test ./my-connector -f store -m order.json --credential secret.json -o json
      echo '{"id": 7}' | nomadflows component test ./my-connector -f store -m - --variable region=eu
    """
    given = _as_message(json_object(message, "--message"))
    secret = json_object(credential, "--credential") if credential else None
    hide = _Hiding(secret)
    settings, state = json_object(config, "--config"), json_object(snapshot, "--snapshot")
    with _installed(folder, function) as ready, _diverted(hide):
        try:
            trial = _begin(
                ready, function, config=settings, credential=secret, snapshot=state, variables=_named(variables)
            )
            outcomes = [trial.give(given) for _ in range(times)]
        except NomadflowsError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the component's module or its `init` raises
            raise NomadflowsError(f"it does not start: {hide.text(f'{type(error).__name__}: {error}')}") from None
        emitted = [hide.value(one) for outcome in outcomes for one in outcome.emitted]
        after = hide.value(trial.snapshot)
    output.emit(session.output, _for_programs(emitted, after), lambda: _for_people(emitted))
    if any(outcome.rejected for outcome in outcomes):
        click.get_current_context().exit(1)


def _begin(folder: Path, function: str, **known: Any) -> Trial:
    from nomadflows.runtime.component import ComponentError
    from nomadflows.runtime.trial import Trial

    try:
        return Trial(str(folder), function, **known)
    except ComponentError as error:
        raise InputError(str(error)) from error


# ── what it is given ──────────────────────────────────────────────────────────────────────────────────────────


def _as_message(given: Json) -> Json:
    """By the rule for what a component returns: without a body, it is one."""
    return given if "body" in given else {"body": given}


def _named(variables: Sequence[str]) -> Json:
    for variable in variables:
        if not variable.partition("=")[1]:
            raise InputError(f"--variable: {variable!r} is not NAME=TEXT")
    return {name: text for name, _, text in (variable.partition("=") for variable in variables)}


@contextlib.contextmanager
def _installed(folder: Path, function: str) -> Iterator[Path]:
    """The folder itself, or one beside which its packages are installed."""
    from nomadflows.dependencies import REQUIREMENTS
    from nomadflows.packing import build, read_component

    if (folder / "package.json").is_file():
        raise InputError(f"{folder} holds a Node component; `component test` runs Python ones")
    found = read_component(folder, "component")
    if function not in found.functions():
        raise InputError(f"{folder} has no trigger or action {function!r}; it has: {', '.join(found.functions())}")
    if not (folder / REQUIREMENTS).is_file():
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="nomadflows-") as fresh:
        build(found, folder, Path(fresh) / "component", sys.executable)
        yield Path(fresh) / "component"


# ── what it gives ─────────────────────────────────────────────────────────────────────────────────────────────


class _Hiding:
    """Puts *** for the values of a credential, wherever a component repeats them."""

    def __init__(self, credential: Json | None) -> None:
        texts = set(_texts(credential or {}))
        self._secrets = sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def value(self, value: Any) -> Any:
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(member) for key, member in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_replace"):  # one that was emitted
            return type(value)(*(self.value(member) for member in value))
        return [self.value(member) for member in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)


class _Lines(logging.Formatter):
    def __init__(self, hide: _Hiding) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide.text(super().format(record))


@contextlib.contextmanager
def _diverted(hide: _Hiding) -> Iterator[None]:
    """What the component prints and logs, to where it cannot be taken for the result."""
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(hide))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _for_programs(emitted: Sequence[Emitted], snapshot: Json) -> Json:
    groups: dict[str, Any] = {name: [] for name in _GROUPS.values()}
    for event, content in emitted:
        if event in _GROUPS:
            groups[_GROUPS[event]].append(content)
    return {**groups, "snapshot": snapshot}


def _for_people(emitted: Sequence[Emitted]) -> str:
    rows = [[event, _shown(event, content)] for event, content in emitted]
    stacks = [str(content["stack"]).rstrip() for event, content in emitted if event == "error"]
    return "\n\n".join([output.table(["EVENT", "CONTENT"], rows, none="It gave nothing."), *stacks])


def _shown(event: str, content: Any) -> str:
    if event == "error":
        return f"{content['name']}: {content['message']}"
    if event == "rebound":
        return str(content["reason"])
    if event == "updateKeys":
        return ", ".join(content)
    if event == "data":
        told = {name: value for name, value in content.items() if value and name != "id"}
        content = told if set(told) - {"body"} else content["body"]
    return json.dumps(content, ensure_ascii=False)

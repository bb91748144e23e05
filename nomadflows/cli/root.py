"""The command tree: loads a command's module when it is asked for, and ends every command with its exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from nomadflows.cli.commands import SECTIONS, Table, overview
from nomadflows.cli.session import Session, shared_options
from nomadflows.model.errors import NomadflowsError

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are rows of a table until one is called."""

    def __init__(self, *args: Any, sections: Sequence[tuple[str, Table]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self.table: Table = {name: entry for _, table in sections for name, entry in table.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        return _with_shared_options(_load(f"{ctx.command_path} {cmd_name}", module, attribute))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table: a press of the tab key imports no command."""
        names = [CompletionItem(name, help=row[2]) for name, row in self.table.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, table in self.sections:
            with formatter.section(title):
                formatter.write_dl([(name, entry[2]) for name, entry in table.items()])


class Root(LazyGroup):
    """Prints the same page with and without arguments, whichever way it was asked for."""

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        return overview().rstrip("\n")


def _load(path: str, module: str, attribute: str) -> click.Command:
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise NomadflowsError(f"`{path}` is not part of this version of nomadflows") from error
    assert isinstance(command, click.Command)
    return command


def _with_shared_options(command: click.Command) -> click.Command:
    """Every command and subcommand takes the shared options, unless it has one of its own by that name."""
    taken = {name for option in command.params for name in option.opts}
    command.params += [option for option in shared_options() if not taken & set(option.opts)]
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        for sub in command.commands.values():
            _with_shared_options(sub)
    return command


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Root, sections=SECTIONS, context_settings=_CONTEXT, params=list(shared_options()))
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=lambda ctx, _, on: _version(ctx, on)
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    ctx.ensure_object(Session)


def _version(ctx: click.Context, on: bool) -> None:
    if not on:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("nomadflows")
    except PackageNotFoundError:
        number = "(a checkout that is not installed)"
    click.echo(f"nomadflows {number}")
    ctx.exit()


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command line. Returns the exit code; messages for people went to stderr."""
    try:
        code = cli.main(list(arguments), prog_name="nomadflows", standalone_mode=False, obj=session or Session())
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except NomadflowsError as error:
        click.echo(f"Error: {error}" if error.exit_code != 2 else str(error), err=True)  # noqa: PLR2004
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.Abort as error:  # Ctrl-C, or `no` to a question
        interrupted = isinstance(error.__context__, KeyboardInterrupt)
        click.echo("Interrupted." if interrupted else "Nothing was done.", err=True)
        return INTERRUPTED if interrupted else 1
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing is wrong
        return 1
    return code if isinstance(code, int) else 0

"""`nomadflows completion`: the script a shell loads to complete commands, options and flow names."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(nomadflows completion bash)"     in ~/.bashrc
      eval "$(nomadflows completion zsh)"      in ~/.zshrc
      nomadflows completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "nomadflows", "_NOMADFLOWS_COMPLETE").source())

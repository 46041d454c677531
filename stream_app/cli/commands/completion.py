"""`kol completion`: what a shell must know to complete commands, options and choices."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete `kol` when Tab is pressed.

    For one session: eval "$(kol completion bash)", the same with zsh, or
    kol completion fish | source. For all of them put that line into ~/.bashrc, into ~/.zshrc
    behind compinit, or into ~/.config/fish/config.fish. bash has to be 4.4 or newer.
    """
    kol = context.find_root()
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all of SHELLS"  # noqa: S101 - a programming error
    name = kol.info_name or "kol"
    click.echo(kind(kol.command, {}, name, f"_{name.upper()}_COMPLETE").source())

"""Entry of the `nomadflows` command.

The help page needs none of the command line library, whose import alone takes four times the interpreter's
start; everything else goes on to `root`.
"""

from __future__ import annotations

import sys


def main() -> None:
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"], ["-h"], ["help"]) and not _completing():
        from nomadflows.cli.commands import overview

        sys.stdout.write(overview())
        return
    from nomadflows.cli.root import run

    sys.exit(run(arguments))


def _completing() -> bool:
    """A shell asks for completions through the environment, with no arguments at all."""
    import os

    return "_NOMADFLOWS_COMPLETE" in os.environ


if __name__ == "__main__":
    main()

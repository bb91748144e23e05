"""`nomadflows doctor`: is everything there that flows need, and if not, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from nomadflows.cli.output import emit
from nomadflows.cli.session import Session, pass_session

if TYPE_CHECKING:
    from nomadflows.devstack.diagnose import Finding

_MARKS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unreachable": ("✗", "red")}


@click.command()
@pass_session
def doctor(session: Session) -> int:
    """Check every server: reachable, new enough, permitted, set up; say how to mend what is not.

    Exit codes: 0 all is well, 1 something must be mended, 3 a server cannot be reached.

    \b
    Examples:
      nomadflows doctor
      nomadflows doctor -o json
      NOMAD_ADDR=https://nomad.example:4646 nomadflows doctor
    """
    from nomadflows.devstack.diagnose import diagnose

    findings = diagnose(session.settings)
    emit(session.output, [asdict(one) for one in findings], lambda: _text(findings))
    levels = {one.level for one in findings}
    return 3 if "unreachable" in levels else 1 if "failed" in levels else 0


def _text(findings: Sequence[Finding]) -> str:
    lines: list[str] = []
    server = ""
    for one in findings:
        if one.server != server:
            lines += [*([""] if lines else []), click.style(one.server, bold=True)]
            server = one.server
        mark, colour = _MARKS[one.level]
        lines.append(f"  {click.style(mark, fg=colour)} {one.what}: {one.detail}")
        if one.mend:
            lines.append(f"      {one.mend}")
    wrong = sum(one.level in ("failed", "unreachable") for one in findings)
    lines += ["", "All is well." if not wrong else f"{wrong} of {len(findings)} checks failed."]
    return "\n".join(lines)

"""How many processes a step with `autoscale` should have. Pure.

Up at once, to one process for each `target` waiting messages, unless what waits is worked off before a new process
would be of use. Down by one at a time, once fewer would have been enough for a while: starting costs more than idling.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from nomadflows.model.graph import Scaling

CALM_S: Final = 30.0  # so long fewer processes must have been enough
USEFUL_AFTER_S: Final = 3.0  # a process that starts now takes its first message about then


def wanted_processes(rule: Scaling, present: int, ready: int, drained_per_s: float | None, calm_s: float) -> int:
    """`drained_per_s`: by how much the queue shrinks (negative: it grows), None: not known yet. `calm_s`: how long one
    process less would have been enough."""
    present = min(max(present, rule.least), rule.most)
    enough = min(max(ceil(ready / rule.target), rule.least), rule.most)
    if enough > present:
        soon_done = drained_per_s is not None and drained_per_s > 0 and ready / drained_per_s < USEFUL_AFTER_S
        return present if soon_done else enough
    if enough < present and calm_s >= CALM_S:
        return present - 1
    return present


def is_calm(rule: Scaling, present: int, ready: int) -> bool:
    """Whether one process less would be enough now."""
    return present > rule.least and ready <= (present - 1) * rule.target


def figures(ready: int, drained_per_s: float | None) -> str:
    """By what it was decided, in words."""
    if drained_per_s is None:
        return f"{ready} waiting"
    return f"{ready} waiting, {abs(drained_per_s):.1f} {'fewer' if drained_per_s >= 0 else 'more'} each second"

"""Evaluating JSONata where it can do no harm for long: every evaluation ends, and none comes back for ever.

::

    first delivery ──▶ in this process; the kernel's clock ends the process if the engine does not return
    delivered again ─▶ in a child process, which may die in its place: that is an error of the message

The engine's own limits hold for nearly everything; what they do not hold keeps the interpreter to itself, so nothing
in the process could end it, and a lack of memory ends the process anyway. A child for every message would cost five
times the evaluation (docs/decisions/0030). Knows the engine's module and processes, nothing of flows or messages.
"""

from nomadflows.evaluation.guarded import Guarded
from nomadflows.evaluation.memory import limit_memory

__all__ = ["Guarded", "limit_memory"]

"""An expression that always comes to an end, if need be at the cost of a process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from nomadflows.model.mapping import Body, Expression, MappingError, as_body, is_true

if TYPE_CHECKING:
    from nomadflows.evaluation.aside import Child

SECONDS: Final = 25.0  # a little longer than the engine's own limit, which ends nearly everything
VARIABLE: Final = "NOMADFLOWS_EVALUATION_S"

logger = logging.getLogger("nomadflows.evaluation")
_turn = threading.Lock()  # the clock is the process's, so one evaluation at a time


def seconds() -> float:
    """How long one evaluation may take."""
    return float(os.environ.get(VARIABLE) or SECONDS)


class Guarded:
    """A mapping or condition. `again` says that its message was delivered before: whoever had it may have died of it."""

    def __init__(self, mapping: object) -> None:
        """MappingError if it does not parse."""
        self._mapping = mapping
        self._expression = Expression(mapping)
        self._seconds = seconds()
        self._wary = False
        self._child: Child | None = None
        self._child_turn = threading.Lock()

    def value(
        self, body: object, *, passthrough: Mapping[str, Any], variables: Mapping[str, Any], again: bool = False
    ) -> Any:
        """What the expression makes of a body; MappingError when it fails, does not end, or needs too much memory."""
        if again or self._wary:
            return self._aside(body, passthrough, variables)
        with _turn:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            try:
                return self._expression.value(body, passthrough=passthrough, variables=variables)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def body(
        self, body: object, *, passthrough: Mapping[str, Any], variables: Mapping[str, Any], again: bool = False
    ) -> Body:
        """The same, as the body of a message: anything but an object is an error."""
        return as_body(self.value(body, passthrough=passthrough, variables=variables, again=again))

    def holds(
        self, body: object, *, passthrough: Mapping[str, Any], variables: Mapping[str, Any], again: bool = False
    ) -> bool:
        """The same, as a condition, by JSONata's own rules."""
        return is_true(self.value(body, passthrough=passthrough, variables=variables, again=again))

    def close(self) -> None:
        """End the child, if there is one."""
        with self._child_turn:
            if self._child is not None:
                self._child.close()
                self._child = None

    def _aside(self, body: object, passthrough: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        from nomadflows.evaluation.aside import Child, DiedError  # late: most processes never need a child

        with self._child_turn:
            if self._child is None:
                self._child = Child(self._mapping, self._seconds)
            try:
                return self._child.value(body, passthrough, variables)
            except DiedError as death:
                self._child.close()
                self._child = None
                self._wary = True  # more of the kind may follow: none of them ends this process
                logger.error("An evaluation was ended with the process it ran in: %s", death)  # noqa: TRY400
                raise MappingError(f"{death}; it was ended with the process it ran in") from None

"""A child process that evaluates one mapping, message by message, and may die of it.

One line of JSON each way. The child's clock ends it by itself, so none outlives a parent that is killed; it ends when
its input does.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any, Final

from nomadflows.evaluation.memory import limit_memory
from nomadflows.model.mapping import Expression, MappingError

_OUT_OF_MEMORY: Final = (signal.SIGABRT, signal.SIGKILL)


class DiedError(Exception):
    """The child has ended over an evaluation."""


class Child:
    """For one thread at a time; not usable after DiedError."""

    def __init__(self, mapping: object, seconds: float) -> None:
        self._seconds = seconds
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "nomadflows.evaluation", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a dying engine's trace quotes nothing we could use
            start_new_session=True,  # a signal to the step's group is the step's to handle
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self._output: IO[bytes] = self._process.stdout
        self._put(mapping)

    def value(self, body: object, passthrough: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        """As `Expression.value`; DiedError if the child does not survive it."""
        self._put([body, passthrough, variables])
        answer = self._output.readline()
        if not answer.endswith(b"\n"):
            raise DiedError(self._cause())
        found = json.loads(answer)
        if "problem" in found:
            raise MappingError(found["problem"], path=tuple(found["path"]), position=found["position"])
        return found["value"]

    def close(self) -> None:
        """At once, whatever it does."""
        for pipe in (self._input, self._output):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.kill()
        self._process.wait()

    def _put(self, content: object) -> None:
        try:
            self._input.write(json.dumps(content).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError:
            raise DiedError(self._cause()) from None

    def _cause(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGALRM:
            return f"the expression did not end within {self._seconds:g} s"
        if -code in _OUT_OF_MEMORY:
            return "the expression needs more memory than an evaluation may have"
        return f"the engine failed ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"


def serve(seconds: float, requests: IO[bytes], answers: IO[bytes]) -> None:
    """The life of the child."""
    limit_memory()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    expression = Expression(json.loads(requests.readline()))
    for request in requests:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = _answer(expression, *json.loads(request))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer + b"\n")
        answers.flush()


def _answer(
    expression: Expression, body: object, passthrough: Mapping[str, Any], variables: Mapping[str, Any]
) -> bytes:
    try:
        value = expression.value(body, passthrough=passthrough, variables=variables)
        return json.dumps({"value": value}).encode()
    except MappingError as error:
        answer: dict[str, object] = {"problem": error.problem, "path": error.path, "position": error.position}
    except (TypeError, ValueError, RecursionError):
        answer = {"problem": "the expression gives something that is not JSON", "path": (), "position": None}
    return json.dumps(answer).encode()

"""Every error a user can meet, and the exit code each one ends a command with.

::

    NomadflowsError                 1   refused by the state of things, or failed
    ├── InputError                  2   what the user wrote is wrong (where, what, what is allowed)
    ├── Refused                     1   the request is well formed, the present state forbids it
    │   ├── Conflict                1   somebody else changed the same thing first
    │   └── NotFound                1   no such flow, version, component, credential
    ├── ServerUnreachable           3   a server did not answer: which, where, what to do
    │   └── ServerRefused           1   a server answered with a refusal (permission, bad request)
    └── WaitTimeout                 4   --wait ran out; the work goes on

I/O packages turn their library's exceptions into these at their edge and chain the cause, so callers never
see `requests`, `pika` or `hvac` types. No message ever holds a secret.
"""

from __future__ import annotations


class NomadflowsError(Exception):
    """Base: a sentence for the user, and optionally one on what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class InputError(NomadflowsError):
    """What the user wrote is wrong."""

    exit_code = 2


class Refused(NomadflowsError):
    """The present state of things forbids what was asked."""


class Conflict(Refused):
    """A compare-and-set lost: somebody else changed the same thing first."""


class NotFound(Refused):
    """The named thing does not exist."""


class ServerUnreachable(NomadflowsError):
    """A server did not answer in time."""

    exit_code = 3

    def __init__(self, server: str, address: str, cause: object, *, hint: str = "") -> None:
        super().__init__(f"{server} at {address} cannot be reached: {cause}", hint=hint)
        self.server = server
        self.address = address


class ServerRefused(ServerUnreachable):
    """A server answered, with a refusal."""

    exit_code = 1

    def __init__(self, server: str, address: str, cause: object, *, status: int = 0, hint: str = "") -> None:
        NomadflowsError.__init__(self, f"{server} at {address} refused: {cause}", hint=hint)
        self.server = server
        self.address = address
        self.status = status


class WaitTimeout(NomadflowsError):
    """`--wait` ran out; what was asked for goes on without the command."""

    exit_code = 4

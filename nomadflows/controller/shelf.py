"""The leader's look at its artifact store: packed components that no version names go.

They are left by a deploy that failed after its upload, by a deletion that did not reach the store, and by processes that
were killed. A deploy uploads first and records the version then, so what is younger than an hour is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from nomadflows.artifact.shelf import Shelf
from nomadflows.clients import Clients
from nomadflows.controller.signals import Repeated
from nomadflows.model.errors import NomadflowsError

log = structlog.get_logger()

_EVERY_S: Final = 3600.0
_YOUNG_S: Final = 3600.0


class ForgottenArtifacts(Repeated):
    """Once when the leader begins, and every hour."""

    def __init__(self, clients: Callable[[], Clients], shelf: Shelf) -> None:
        super().__init__("forgotten-artifacts")
        self._clients = clients
        self._shelf = shelf

    def _turn(self) -> None:
        try:
            self.look(time.time())
        except (NomadflowsError, OSError) as error:
            log.warning("the artifact store was not tidied up", error=str(error))
        self._closed.wait(_EVERY_S)

    def look(self, now: float) -> None:
        known = self._clients().store.components()
        named = {str(version.location.get("artifact", "")) for versions in known.values() for version in versions}
        for name in self._shelf.forget(named, now - _YOUNG_S):
            log.info("a component that no version names was removed from the store", file=name)

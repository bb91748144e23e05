"""A controller: campaigns for the lock, and leads while it has it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from nomadflows.clients import Clients, connect, per_thread
from nomadflows.controller.leader import Leader
from nomadflows.model.errors import NomadflowsError
from nomadflows.settings import Settings
from nomadflows.store.leadership import Leadership
from nomadflows.vault.renewal import keep_token

log = structlog.get_logger()

_PAUSE_S: Final = 1.0
# Of each server, whether it can be worked with now. Cheap.
_QUESTIONS: Final[tuple[Callable[[Clients], object], ...]] = (
    lambda clients: clients.store.client.get(clients.store.keys.leader),
    lambda clients: clients.nomad.ping(),
    lambda clients: clients.vault.version(),
    lambda clients: clients.broker.management.version(),
)


class Controller:
    """`run` blocks until `stop` is set."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._lost = threading.Event()
        self._leader: Leader | None = None
        who = f"{socket.gethostname()}:{os.getpid()}"
        self._clients = per_thread(settings)
        self._asking = ThreadPoolExecutor(len(_QUESTIONS), thread_name_prefix="ready")
        self._leadership = Leadership(connect(settings).store, who, lost=self._lost.set)

    def run(self) -> None:
        keep_token(connect(self._settings).vault, self._stop)
        self._leadership.campaign()
        try:
            while not self._stop.is_set():
                if self._leadership.wait(0.5):
                    self._lead()
        finally:
            self._leadership.release()

    @property
    def is_leader(self) -> bool:
        return self._leadership.is_leader

    def problem(self) -> str:
        """Why this controller could not lead now; "" if it could, or does. A leader needs all four servers."""
        asked = [self._asking.submit(self._silent, ask) for ask in _QUESTIONS]
        return "; ".join(said for future in asked if (said := future.result()))

    def _silent(self, ask: Callable[[Clients], object]) -> str:
        """What keeps a server from answering, "" if it does."""
        try:
            ask(self._clients())
        except NomadflowsError as error:
            return error.message
        return ""

    def crippled(self) -> str:
        """Why it leads and yet does not do all of a leader's work: a thread of it has ended; "" if none has."""
        leader = self._leader
        ended = leader.ended_threads() if leader else []
        return f"ended while leading: {', '.join(ended)}" if ended else ""

    def _lead(self) -> None:
        """Lead until the lock is lost or the process is to end. The lock is given up only after the work in hand
        is done, so that a successor never meets it half done."""
        self._lost.clear()
        leader = Leader(self._settings, self._leadership)
        try:
            leader.start()
            self._leader = leader
            while self._leadership.is_leader and not self._stop.is_set():
                self._lost.wait(0.2)
        except NomadflowsError as error:
            log.warning("could not begin to lead, tried again", error=str(error))
            self._stop.wait(_PAUSE_S)
        finally:
            self._leader = None
            leader.close()

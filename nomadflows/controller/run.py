"""The controller process: campaigns for the lock, leads while it has it, serves the component API all the time."""

from __future__ import annotations

import os
import socket
import threading
from typing import Final

import structlog
import uvicorn

from nomadflows.controller.clients import per_thread
from nomadflows.controller.leader import Leader
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.model.errors import InputError, NomadflowsError
from nomadflows.settings import Settings
from nomadflows.store.leadership import Leadership

log = structlog.get_logger()

_PAUSE_S: Final = 1.0


class Controller:
    """`run` blocks until `stop` is set."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._lost = threading.Event()
        self._clients = per_thread(settings)
        who = f"{socket.gethostname()}:{os.getpid()}"
        self._leadership = Leadership(self._clients().store, who, lost=self._lost.set)

    def run(self) -> None:
        server = self._serve()
        self._leadership.campaign()
        try:
            while not self._stop.is_set():
                if self._leadership.wait(0.5):
                    self._lead()
        finally:
            self._leadership.release()
            server.should_exit = True

    def _lead(self) -> None:
        """Lead until the lock is lost or the process is to end. The lock is given up only after the work in hand
        is done, so that a successor never meets it half done."""
        self._lost.clear()
        leader = Leader(self._settings, self._leadership)
        try:
            leader.start()
            while self._leadership.is_leader and not self._stop.is_set():
                self._lost.wait(0.2)
        except NomadflowsError as error:
            log.warning("could not begin to lead, tried again", error=str(error))
            self._stop.wait(_PAUSE_S)
        finally:
            leader.close()

    def _serve(self) -> uvicorn.Server:
        """Every controller answers step processes, the leader and those that stand by."""
        clients = self._clients
        api = ComponentApi(lambda: clients().store, lambda: clients().vault, lambda: clients().broker)
        host, _, port = self._settings.component_api_bind.rpartition(":")
        if not port.isdecimal():
            raise InputError(f"component_api_bind: expected host:port, not {self._settings.component_api_bind!r}")
        config = uvicorn.Config(api.app, host=host, port=int(port), log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        threading.Thread(target=self._keep_serving, args=(server,), name="component-api", daemon=True).start()
        return server

    def _keep_serving(self, server: uvicorn.Server) -> None:
        """A port that another controller of this host holds is waited for: it is free once that one ends."""
        while not self._stop.is_set() and not server.should_exit:
            try:
                server.run()
            except SystemExit:
                server.started = False
            if not server.should_exit:
                log.info("component API port is taken; waiting for it", bind=self._settings.component_api_bind)
                self._stop.wait(_PAUSE_S)

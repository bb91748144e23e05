"""Keeps the token alive by which a process asks Vault: one that nobody renews ends after its time, and with it every
start of a flow and every credential."""

from __future__ import annotations

import threading
from typing import Final, Protocol

import structlog

from nomadflows.model.errors import NomadflowsError

log = structlog.get_logger(__name__)

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 3_600.0
RETRY_S: Final = 10.0
TOLD_BELOW_S: Final = 86_400.0


class Renewable(Protocol):
    """As `vault.client.Vault` is."""

    def renew_own_token(self) -> float | None: ...


def keep_token(vault: Renewable, stop: threading.Event) -> None:
    """Renew in a thread of its own until `stop`; `vault` is that thread's alone."""
    threading.Thread(target=renew_until, args=(vault, stop), name="vault-token", daemon=True).start()


def renew_until(vault: Renewable, stop: threading.Event) -> None:
    """At a third of the token's life, so that a Vault that is away for a while ends nothing. A token that cannot be
    renewed for longer is told of in its last day."""
    lived_s, pause_s, told = 0.0, 0.0, ""
    while not stop.wait(pause_s):
        try:
            lives_s = vault.renew_own_token()
        except NomadflowsError as error:
            if told != error.message:
                log.warning("the Vault token could not be renewed, tried again", error=error.message)
            told, pause_s = error.message, RETRY_S
            continue
        if lives_s is None:
            return
        if lives_s < min(lived_s, TOLD_BELOW_S):
            log.warning("the Vault token ends soon: start this process with another one", seconds=round(lives_s))
        lived_s, pause_s, told = lives_s, min(max(lives_s / 3, SHORTEST_S), LONGEST_S), ""

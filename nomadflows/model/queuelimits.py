"""How much one step's queue holds: the figures, and what holds where nobody says otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

Json = dict[str, Any]

FIELDS: Final = ("messages", "bytes")
MESSAGES: Final = 75_000
BYTES: Final = 209_715_200


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much one step's queue holds."""

    messages: int = MESSAGES
    bytes: int = BYTES

    def to_json(self) -> Json:
        return asdict(self)

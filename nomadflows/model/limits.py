"""How much the queues of a version hold: what its flow says, else its workspace, else the installation.

Asked when a version is published and written into it, since a queue cannot change its arguments: a limit that is set
later holds for versions published from then on. Works on documents; it knows neither where they are nor what a queue is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from nomadflows.model.errors import InputError
from nomadflows.model.queuelimits import FIELDS, QueueLimits

Json = dict[str, Any]

BUILT_IN: Final = "built in"


@dataclass(frozen=True, slots=True)
class Holding:
    """The limits that hold, and for each of them who says so: a level's name, or BUILT_IN."""

    limits: QueueLimits
    origin: Mapping[str, str]


def resolve(definition: Json, workspace: Json | None, installation: Json | None) -> QueueLimits:
    """`definition`, `workspace`: documents with a member `limits`; `installation`: limits. Only what is written in
    them counts. InputError, naming the document, for what is no limit."""
    workspace = (workspace or {}).get("limits")
    return holding({"flow": definition.get("limits"), "workspace": workspace, "installation": installation}).limits


def holding(levels: Mapping[str, Json | None]) -> Holding:
    """Level → its limits, the one that counts most first."""
    values, origin = asdict(QueueLimits()), dict.fromkeys(FIELDS, BUILT_IN)
    for level in reversed(list(levels)):
        said = written(levels[level], level)
        values |= said
        origin |= dict.fromkeys(said, level)
    return Holding(QueueLimits(**values), origin)


def written(limits: Json | None, level: str) -> dict[str, int]:
    """The queue limits that are written there, in bytes where it says `200MiB`. InputError for what is none."""
    if not limits:
        return {}
    from pydantic import ValidationError  # here, since most commands need neither

    from nomadflows.model.flow import Limits
    from nomadflows.model.problems import shape_problems

    try:
        read = Limits.model_validate(limits)
    except ValidationError as error:
        problems = "; ".join(str(problem) for problem in shape_problems(Limits, error, limits))
        raise InputError(f"limits of the {level}: {problems}") from error
    return {name: getattr(read, name) for name in FIELDS if name in read.model_fields_set}


def of_version(document: Json) -> QueueLimits:
    """As published; of a version from before limits were written into it: as its definition says."""
    published = document.get("limits")
    return QueueLimits(**written(published, "version")) if published else resolve(document["definition"], None, None)

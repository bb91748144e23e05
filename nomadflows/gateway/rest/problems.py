"""Every error of the REST API as JSON:API has them, and which status each error of ours becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import ValidationError

from nomadflows.gateway.rest.shapes import Error, ErrorMeta, Errors, Pointer
from nomadflows.model.errors import InputError, NomadflowsError, NotFound, Refused, ServerRefused, ServerUnreachable
from nomadflows.model.problems import Problem

MOST_TOLD: Final = 50


class Rejected(Exception):
    """A request that ends here; `errors` is what the caller gets."""

    def __init__(self, status: HTTPStatus, errors: Sequence[Error], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(errors[0].detail)
        self.status = status
        self.errors = Errors(errors=list(errors))
        self.headers = dict(headers or {})


class Forbidden(NomadflowsError):
    """A member whose role does not allow it."""


def rejected(
    status: HTTPStatus, detail: str, *, hint: str = "", source: Pointer | None = None, **headers: str
) -> Rejected:
    """`headers`: with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Rejected(status, [_error(status, detail, hint=hint, source=source)], named)


def of(error: NomadflowsError) -> Rejected:
    """What a caller is told of an error. Of a server's: which one, not where it is."""
    if isinstance(error, ServerRefused):
        return rejected(HTTPStatus.BAD_GATEWAY, f"{error.server} refused")
    if isinstance(error, ServerUnreachable):
        return rejected(HTTPStatus.SERVICE_UNAVAILABLE, f"{error.server} cannot be reached: try again", retry_after="1")
    return rejected(_status(error), error.message, hint=error.hint)


def _status(error: NomadflowsError) -> HTTPStatus:
    match error:
        case InputError():
            return HTTPStatus.BAD_REQUEST
        case Forbidden():
            return HTTPStatus.FORBIDDEN
        case NotFound():
            return HTTPStatus.NOT_FOUND
        case Refused():
            return HTTPStatus.CONFLICT
    return HTTPStatus.INTERNAL_SERVER_ERROR


def of_body(error: ValidationError) -> Rejected:
    """A body that has not the shape it should have."""
    return _bad((Pointer(pointer=pointer(path)), message) for path, message in _found(error))


def of_query(error: ValidationError) -> Rejected:
    return _bad((Pointer(parameter=str(path[0])), message) for path, message in _found(error))


def of_definition(problems: Sequence[Problem], at: Sequence[str]) -> Rejected:
    """What is wrong with a flow's definition, which stands at `at` in the body."""
    return _bad((Pointer(pointer=pointer((*at, *problem.path))), str(problem)) for problem in problems)


def _found(error: ValidationError) -> Iterable[tuple[tuple[Any, ...], str]]:
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        yield detail["loc"], detail["msg"]


def _bad(found: Iterable[tuple[Pointer, str]]) -> Rejected:
    errors = [_error(HTTPStatus.BAD_REQUEST, detail, source=source) for source, detail in found]
    return Rejected(HTTPStatus.BAD_REQUEST, errors[:MOST_TOLD])


def pointer(path: Iterable[Any]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _error(status: HTTPStatus, detail: str, *, hint: str = "", source: Pointer | None = None) -> Error:
    meta = ErrorMeta(hint=hint) if hint else None
    return Error(status=str(int(status)), title=status.phrase, detail=detail, source=source, meta=meta)


def same_id(given: str, asked: str) -> None:
    """JSON:API repeats in the body what the address names. Rejected if they differ."""
    if given != asked:
        source = Pointer(pointer="/data/id")
        raise rejected(HTTPStatus.BAD_REQUEST, f"{given!r} is not what the address names: {asked}", source=source)

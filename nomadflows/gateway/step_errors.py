"""How the APIs that steps and nodes call say no."""

from __future__ import annotations

from starlette.responses import JSONResponse


def error_answer(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)

"""What operators ask a controller over HTTP: does it live, can it work, what does it count."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nomadflows.controller.metrics import exposition


def routes(is_leader: Callable[[], bool], ready: Callable[[], str], crippled: Callable[[], str]) -> list[Route]:
    """`/healthz` (503 with the reason when only a restart helps), `/readyz` (503 with the reason while it could not lead),
    `/metrics`."""

    def healthz(_request: Request) -> Response:
        reason = crippled()
        answer = {"status": "failed" if reason else "ok", "leader": is_leader()}
        return JSONResponse(answer | {"reason": reason} if reason else answer, 503 if reason else 200)

    def readyz(_request: Request) -> Response:
        problem = ready()
        return JSONResponse({"ready": not problem, "leader": is_leader(), "reason": problem}, 503 if problem else 200)

    def metrics(_request: Request) -> Response:
        content, media_type = exposition()
        return Response(content, media_type=media_type)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]

"""`/health/live`: the process runs. `/health/ready`: what it depends on answers, each dependency by name."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse

# Longer than a healthy dependency ever takes, shorter than an orchestrator's probe.
CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[None]]


def health_router(service: str, checks: Mapping[str, Check]) -> APIRouter:
    """The two probes of `service`. A check raises when its dependency cannot be used."""
    router = APIRouter(tags=["health"], prefix="/health")

    @router.get("/live", summary="The process runs")
    async def live() -> dict[str, str]:
        return {"status": "alive", "service": service}

    @router.get("/ready", summary="Everything it needs answers", responses={503: {"description": "Something does not answer"}})
    async def ready() -> JSONResponse:
        states = dict(zip(checks, await asyncio.gather(*map(_state, checks.values())), strict=True))
        well = all(state == "ok" for state in states.values())
        body = {"status": "ready" if well else "waiting", "service": service, "checks": states}
        return JSONResponse(body, status_code=200 if well else 503)

    return router


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:
        # the class only: messages of drivers name hosts and users
        return f"unavailable ({type(error).__name__})"
    return "ok"

"""What the gateway answers itself, except streams."""

import base64
import hashlib
import re

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse

from libs.common.web.language import Preferred
from libs.common.web.openapi import Responses
from services.gateway.browsers import PAGE_HEADERS
from services.gateway.deps import Health, Schema
from services.gateway.health import READY
from services.gateway.openapi import TITLE

SERVICE = "token-script-api"  # what monitoring of the service that this one replaces looks for

# Swagger UI and ReDoc come from a package (fastapi-offline), not from a CDN: the pages work without the internet, and
# nobody else's script runs on the origin that keeps the users' tokens.
ASSETS = "/docs/assets"

router = APIRouter(tags=["service"])

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def _page(page: HTMLResponse) -> HTMLResponse:
    """With a policy that runs nothing but what is on it: our own files, and the scripts that it holds, by their hashes."""
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page.body))
    scripts = " ".join(f"'sha256-{each}'" for each in hashes)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page.headers.update(PAGE_HEADERS)
    return page


_FRONT = {
    "message": "토큰/스크립트 관리 API 서버가 정상적으로 작동중입니다!",
    "docs": "/docs",
    "redoc": "/redoc",
    "version": "1.0.0",
}
_WELL = {"status": "healthy", "service": SERVICE}
_STATES = {"auth": "ready", "catalog": "no answer", "audio": "ready", "notifier": "ready", "bus": "ready"}
_HEALTH: Responses = {
    200: {"content": {"application/json": {"schema": {"type": "object"}, "example": _WELL}}},
    503: {
        "description": "Something does not",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {**_WELL, "status": "degraded", "services": _STATES},
            }
        },
    },
}


@router.get("/", summary="What this is", responses={200: {"content": {"application/json": {"example": _FRONT}}}})
async def root() -> dict[str, str]:
    """Always answers."""
    return _FRONT


@router.get("/health", summary="Whether everything works", responses=_HEALTH)
async def health(platform: Health) -> JSONResponse:
    """All services and the bus, looked at once a second at most."""
    states = await platform.states()
    if all(state == READY for state in states.values()):
        return JSONResponse(_WELL)
    return JSONResponse({"status": "degraded", "service": SERVICE, "services": states}, status_code=503)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(schema: Schema, language: Preferred) -> JSONResponse:
    """The routes of all services; a browser asks in its user's language."""
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(await schema.document(language), headers=headers)


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """Swagger UI."""
    return _page(
        get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=TITLE,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True},
        )
    )


@router.get("/redoc", include_in_schema=False)
async def redoc() -> HTMLResponse:
    """ReDoc."""
    return _page(
        get_redoc_html(
            openapi_url="/openapi.json",
            title=TITLE,
            redoc_js_url=f"{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{ASSETS}/favicon.png",
            with_google_fonts=False,
        )
    )

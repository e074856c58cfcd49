"""What the gateway answers itself, except streams."""

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse

from services.gateway.deps import Health, Schema
from services.gateway.health import READY
from services.gateway.openapi import TITLE

SERVICE = "token-script-api"  # what monitoring of the service that this one replaces looks for

# Swagger UI and ReDoc come from a package (fastapi-offline), not from a CDN: the pages work without the internet, and
# nobody else's script runs on the origin that keeps the users' tokens.
ASSETS = "/docs/assets"

router = APIRouter(tags=["service"])


@router.get("/", summary="What this is")
async def root() -> dict[str, str]:
    """Always answers."""
    return {
        "message": "토큰/스크립트 관리 API 서버가 정상적으로 작동중입니다!",
        "docs": "/docs",
        "redoc": "/redoc",
        "version": "1.0.0",
    }


@router.get("/health", summary="Whether everything works", responses={503: {"description": "Something does not"}})
async def health(platform: Health) -> JSONResponse:
    """All services and the bus, looked at once a second at most."""
    states = await platform.states()
    if all(state == READY for state in states.values()):
        return JSONResponse({"status": "healthy", "service": SERVICE})
    return JSONResponse({"status": "degraded", "service": SERVICE, "services": states}, status_code=503)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(schema: Schema) -> JSONResponse:
    """The routes of all services."""
    return JSONResponse(await schema.document())


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """Swagger UI."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=TITLE,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        swagger_ui_parameters={"persistAuthorization": True},
    )


@router.get("/redoc", include_in_schema=False)
async def redoc() -> HTMLResponse:
    """ReDoc."""
    return get_redoc_html(
        openapi_url="/openapi.json",
        title=TITLE,
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )

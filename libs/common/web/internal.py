"""Calls between services: endpoints below `/internal`, which the gateway never routes to, opened by the service key."""

import hmac
from typing import Annotated, ClassVar

import httpx
from fastapi import Header, Request
from pydantic import Field, SecretStr

from libs.common.errors import Forbidden, Unavailable
from libs.common.settings import Settings, StrongSecret

HEADER = "X-Service-Key"
# A neighbour in the same rack answers in milliseconds; whoever waits longer than this for one is better off with an error.
TIMEOUT = httpx.Timeout(5.0, connect=2.0)


class InternalSettings(Settings):
    """Of services that call or answer others directly."""

    required_in_production: ClassVar[tuple[str, ...]] = ("service_key",)

    service_key: StrongSecret = Field(
        SecretStr("development only: opens the internal endpoints"), validation_alias="SERVICE_KEY"
    )


def require_service(request: Request, x_service_key: Annotated[str, Header()] = "") -> None:
    """FastAPI dependency: only services of this platform pass."""
    settings: InternalSettings = request.app.state.settings
    if not hmac.compare_digest(x_service_key.encode(), settings.service_key.get_secret_value().encode()):
        raise Forbidden("this endpoint is for services of the platform only")


def service_client(url: str, key: SecretStr | None = None) -> httpx.AsyncClient:
    """An HTTP client for one service at `url`: `http://host:port` or `unix:/path/to.sock`."""
    headers = {HEADER: key.get_secret_value()} if key is not None else {}
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    if url.startswith("unix:"):
        transport = httpx.AsyncHTTPTransport(uds=url.removeprefix("unix:"), limits=limits)
        return httpx.AsyncClient(base_url="http://service", transport=transport, headers=headers, timeout=TIMEOUT)
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, limits=limits, trust_env=False)


class ServiceUnavailable(Unavailable):
    """Another service of the platform does not answer."""

    code = "service_unavailable"

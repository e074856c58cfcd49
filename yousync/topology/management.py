"""The management API of a broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

import httpx
from yarl import URL

from yousync.local.process import LocalServerError

ANSWER_SECONDS = 10.0


class NoManagement(LocalServerError):
    """The management API cannot be asked; the text says why and leaks no password."""


class Management:
    """As one user sees it: `open_management` makes it."""

    def __init__(self, client: httpx.AsyncClient, user: str) -> None:
        self._client = client
        self.user = user

    async def read(self, what: str, virtual_host: str | None = None) -> list[dict[str, Any]]:
        """All there are of `what`, in one virtual host or altogether. Raises `NoManagement`."""
        path = f"/api/{what}" if virtual_host is None else f"/api/{what}/{quote(virtual_host, safe='')}"
        answer = await self._ask("GET", path)
        try:
            rows: list[dict[str, Any]] = answer.json()
        except ValueError as error:
            raise NoManagement(f"{self._client.base_url} does not answer as a management API ({error!r})") from error
        return rows

    async def define(self, definitions: dict[str, list[dict[str, Any]]]) -> None:
        """Have it all made, or changed to be so; nothing else is touched. Raises `NoManagement`."""
        await self._ask("POST", "/api/definitions", json=definitions)

    async def _ask(self, method: str, path: str, json: Any = None) -> httpx.Response:
        base = str(self._client.base_url).rstrip("/")
        try:
            answer = await self._client.request(method, path, json=json)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise NoManagement(_why(error.response.status_code, base, path)) from error
        except httpx.HTTPError as error:
            raise NoManagement(f"{base} does not answer as a management API ({error!r})") from error
        return answer


@asynccontextmanager
async def open_management(url: str) -> AsyncIterator[Management]:
    """The management API at `url`, which has the credentials in it."""
    address = URL(url)
    user = address.user or "guest"
    auth = httpx.BasicAuth(user, address.password or "guest")
    base = str(address.with_user(None))
    async with httpx.AsyncClient(base_url=base, auth=auth, timeout=ANSWER_SECONDS, trust_env=False) as client:
        yield Management(client, user)


def _why(status: int, base: str, path: str) -> str:
    if status in (401, 403):
        tag = "`administrator`" if path in ("/api/users", "/api/definitions") else "`monitoring` or `management`"
        return f"{base} does not let this user in: it needs the tag {tag}"
    if status == 404:
        return f"{base} knows no virtual host {unquote(path.rpartition('/')[2])!r}"
    return f"{base} answered {status} to {path}"

"""A small client of the public API: what the demo, the commands and the end-to-end tests do as a user would."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx


class ClientError(Exception):
    """The platform answered with an error, or not at all; the text is for the person at the terminal."""


class Client:
    """Talks to one gateway at `base_url`; remembers the bearer once there is one."""

    def __init__(self, base_url: str, *, token: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=self.base_url, headers=headers, timeout=30.0, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def sign_in(self, email: str, *, admin: bool = False) -> str:
        """Development sign-in: the bearer of `email`, also used for all further calls."""
        answer = await self._call("POST", "/api/auth/dev-login", json={"email": email, "admin": admin})
        token: str = answer["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return token

    async def is_healthy(self) -> bool:
        """Whether a platform answers there and is well."""
        try:
            response = await self._http.get("/health", timeout=2.0)
        except httpx.HTTPError:
            return False
        return response.status_code == 200 and "application/json" in response.headers.get("content-type", "")

    async def import_catalog(self, document: dict[str, Any]) -> dict[str, Any]:
        """Import a catalogue document; needs an administrator. Returns the counts per kind."""
        users = document.get("users") or []
        counts: dict[str, Any] = {}
        if users:
            counts["users"] = await self._call("POST", "/api/auth/dev-users", json=users)
        rest = {key: value for key, value in document.items() if key != "users"}
        counts.update(await self._call("POST", "/api/catalog/import", json=rest, timeout=600.0))
        return counts

    async def export_catalog(self) -> AsyncIterator[bytes]:
        """The whole catalogue as a document, in chunks; needs an administrator. Raises `ClientError`, also in the middle."""
        path = "/api/catalog/export"
        try:
            async with self._http.stream("GET", path, timeout=httpx.Timeout(60.0)) as response:
                if response.is_error:
                    await response.aread()
                    raise ClientError(f"GET {path}: {response.status_code} {_detail(response)}")
                async for chunk in response.aiter_bytes():
                    yield chunk
        except httpx.HTTPError as error:
            raise ClientError(f"GET {path}: {type(error).__name__} {error}") from error

    async def script(self, script_id: int) -> dict[str, Any]:
        """One line with its words."""
        answer: dict[str, Any] = await self._call("GET", f"/api/scripts/{script_id}")
        return answer

    async def upload(self, script_id: int, take: Path) -> str:
        """Upload a recording of a line; returns the id of the analysis job."""
        with take.open("rb") as file:
            answer = await self._call("POST", f"/api/scripts/{script_id}/upload-audio", files={"file": (take.name, file)})
        job_id: str = answer["job_id"]
        return job_id

    async def result(self, job_id: str) -> dict[str, Any]:
        """The job's state with its result."""
        answer: dict[str, Any] = await self._call("GET", f"/api/scripts/analysis-result/{job_id}")
        return answer

    async def progress(self, job_id: str, *, last_event_id: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """The frames of a job's stream, until its last; a broken stream is taken up again as a browser would."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        path = f"/api/scripts/analysis-progress/{job_id}"
        # the server sends a heartbeat each 15 s: twice that in silence is a dead connection
        timeout = httpx.Timeout(10.0, read=30.0)
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                raise ClientError(f"{path}: {response.status_code} {(await response.aread())[:300]!r}")
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = await self._http.request(method, path, **arguments)
        except httpx.ConnectError as error:
            raise ClientError(f"nothing answers at {self.base_url}: is the platform running? `make up` starts it") from error
        except httpx.HTTPError as error:
            raise ClientError(f"{method} {path}: {type(error).__name__} {error}") from error
        if response.is_error:
            raise ClientError(f"{method} {path}: {response.status_code} {_detail(response)}")
        return response.json()


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return response.text[:300]
    return detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)

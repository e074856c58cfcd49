"""Connections to the services: one pool each, made on first use, kept alive.

aiohttp, not httpx as elsewhere: it reads an answer while the request's body is still being sent, so that a refusal in the
middle of an upload reaches the client, and it costs a third of the time per request.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from libs.common.telemetry import current
from libs.common.web.service_tokens import Identity
from services.gateway.routes import Service

CONNECT_SECONDS = 2.0
# Per service. More only queue up behind the service's own database connections.
MAX_CONNECTIONS = 512
# Below the services' own 75 s, so that no request meets a connection that is just being closed.
KEEP_ALIVE_SECONDS = 60.0
# What aiohttp would add by itself, and a proxy must not.
NOTHING_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


def asking(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """`headers` of a question of our own, under the id and in the trace of the request for which it is asked, if any."""
    known = {"X-Request-ID": current("request_id"), "traceparent": current("traceparent")}
    return CIMultiDict({**headers, **{name: value for name, value in known.items() if value is not None}})


class Upstreams:
    """The services by name. `urls` are `http://host:port` or `unix:/path/to.sock`."""

    def __init__(self, urls: Mapping[Service, str], identity: Identity) -> None:
        self._urls = urls
        self._identity = identity
        self._sessions: dict[Service, aiohttp.ClientSession] = {}

    def request(
        self, service: Service, method: str, raw_path: str, query: str, *, headers: CIMultiDict[str], body: Any = None
    ) -> Any:
        """An async context manager that sends the request and yields aiohttp's response as soon as its head is there.

        Path and query go out byte for byte; nothing is decoded, redirected or added.
        """
        base = URL("http://service" if self._urls[service].startswith("unix:") else self._urls[service])
        url = URL.build(
            scheme=base.scheme, host=base.host or "", port=base.port, path=raw_path, query_string=query, encoded=True
        )
        return self._session(service).request(
            method, url, headers=headers, data=body, allow_redirects=False, skip_auto_headers=NOTHING_ADDED
        )

    async def get_json(self, service: Service, path: str, *, query: str = "") -> Any:
        """The JSON document at `path` of a service, asked as a service of the platform; None when there is no such thing.

        Raises aiohttp.ClientError, ValueError. Does not time itself.
        """
        headers = asking(self._identity.header(service))
        async with self.request(service, "GET", path, query, headers=headers) as answer:
            if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY):
                return None
            answer.raise_for_status()
            return await answer.json(content_type=None)

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _session(self, service: Service) -> aiohttp.ClientSession:
        session = self._sessions.get(service)
        if session is None:
            url = self._urls[service]
            pool: dict[str, Any] = {"limit": MAX_CONNECTIONS, "keepalive_timeout": KEEP_ALIVE_SECONDS}
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(url.removeprefix("unix:"), **pool)
                if url.startswith("unix:")
                else aiohttp.TCPConnector(**pool)
            )
            session = self._sessions[service] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Silence is timed by whoever waits: the same number cannot fit a 50 MB upload and a health check.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        return session

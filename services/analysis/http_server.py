"""A server that speaks HTTP, as a bridge sees it: one POST, and what its answer means."""

import asyncio
import json
from email.message import Message as MimeHeaders
from http import HTTPStatus
from typing import Any, Final

import httpx

from services.analysis.errors import ServerBusy, ServerFailed, ServerSilent, ServerUnreachable, TakeRefused

# uvicorn, which such servers commonly run on, closes idle connections after 5 s; who comes later meets a closed door.
KEEP_IDLE_SECONDS: Final = 3.0
# Says that the address, or what we may do there, is wrong: every other job would be refused too.
MISPLACED: Final = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.GONE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_EARLY,
}


class HttpServer:
    """Of one kind of jobs, at `url`, which reads `media_type`. Times are seconds, `max_bytes` is the size of an answer."""

    def __init__(
        self,
        url: str,
        *,
        media_type: str,
        connections: int,
        connect_seconds: float,
        answer_seconds: float,
        max_bytes: int,
    ) -> None:
        self._url = httpx.URL(url)
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=connect_seconds),  # the whole answer has a limit of its own
            limits=httpx.Limits(max_connections=connections, keepalive_expiry=KEEP_IDLE_SECONDS),
            # Compressed answers would have to be unpacked before their size is known.
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": media_type},
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reachable(self) -> bool:
        """Whether it takes connections."""
        secure = self._url.scheme == "https"
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, writer = await asyncio.open_connection(self._url.host, self._url.port or (443 if secure else 80))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return True

    async def ask(self, content: bytes) -> dict[str, Any]:
        """The answer to the POST of `content`; empty when it took the job and said nothing that we could read.

        Raises TakeRefused, ServerUnreachable, ServerFailed, ServerBusy, and ServerSilent when no answer came in time: then
        it may have taken the job.
        """
        try:
            async with (
                asyncio.timeout(self._answer_seconds),
                self._client.stream("POST", self._url, content=content) as answer,
            ):
                _judge(answer)
                return _read(answer, await self._body(answer))
        except TimeoutError:
            raise ServerSilent(f"no answer within {self._answer_seconds:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnreachable(f"no connection ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise ServerFailed(f"the connection broke ({type(error).__name__})") from error

    async def _body(self, answer: httpx.Response) -> bytes:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ServerFailed("the answer is compressed, which was not asked for")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise ServerFailed(f"the answer has more than {self._max_bytes} bytes")
        return bytes(body)


def _judge(answer: httpx.Response) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    patience = _seconds(answer.headers.get("retry-after"))
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and patience is not None):
        raise ServerBusy(f"it answered {status}", patience)
    if answer.is_client_error and status not in MISPLACED:
        raise TakeRefused(f"it answered {status}")
    raise ServerFailed(f"it answered {status}")


def _seconds(retry_after: str | None) -> float | None:
    """A `Retry-After` in seconds. Its other form, a date, depends on a clock that is not ours and is not read."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdecimal() else None


def _read(answer: httpx.Response, body: bytes) -> dict[str, Any]:
    """What promises to be JSON and is none, is garbage. Anything else may be as it likes: the webhook will tell."""
    headers = MimeHeaders()
    headers["content-type"] = answer.headers.get("content-type", "")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        if headers.get_content_subtype().rpartition("+")[2] == "json":
            raise ServerFailed("the answer promises JSON and is none") from None
        return {}
    return document if isinstance(document, dict) else {}

"""Gets a recording by the link that came with the work."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from services.analysis.errors import AudioTooLarge, RecordingGone, RecordingUnreachable


class Recordings:
    """Fetches over HTTP and HTTPS only, follows no redirect: a link must not lead a server to its own network's insides.

    `timeout` is in seconds, for connecting and for each silence.
    """

    def __init__(self, *, max_bytes: int, timeout: float) -> None:
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Path]:
        """The recording as a file that exists within the block.

        Raises RecordingGone, AudioTooLarge, RecordingUnreachable.
        """
        with tempfile.NamedTemporaryFile(prefix="take-") as file:
            try:
                async with self._client.stream("GET", url) as answer:
                    _judge(answer.status_code)
                    size = 0
                    async for chunk in answer.aiter_bytes(256 * 1024):
                        size += len(chunk)
                        if size > self._max_bytes:
                            raise AudioTooLarge(f"the recording has more than {self._max_bytes} bytes")
                        await asyncio.to_thread(file.write, chunk)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise RecordingGone("the link to the recording cannot be followed") from error
            except httpx.HTTPError as error:
                raise RecordingUnreachable("the recording could not be fetched") from error
            file.flush()
            yield Path(file.name)


def _judge(status: int) -> None:
    if status == httpx.codes.OK:
        return
    if httpx.codes.is_server_error(status) or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS):
        raise RecordingUnreachable(f"the object store answered {status}")
    raise RecordingGone(f"the object store answered {status}")

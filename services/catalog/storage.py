"""The objects of scenes: melody and background sound, which lie in the object store under the keys that tokens hold."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from libs.common.errors import YouSyncError
from libs.common.storage.base import ObjectNotFound, Storage

log = logging.getLogger(__name__)

LINK_LIFETIME = timedelta(seconds=900)  # the contract's; enough to load and play a scene once
PITCH_SECONDS = 3.0  # a scene is shown without its melody rather than later than this
MAX_PITCH_BYTES = 8 * 1024 * 1024  # an hour of film at 100 values a second has about that
PITCH_MEDIA_TYPE = "application/json"


def object_key(url: str) -> str | None:
    """The key that a token's `s3_..._url` means: a bare key, `s3://bucket/key` or S3's own https form; None for other URLs."""
    parts = urlsplit(url)
    if not parts.scheme or "://" not in url:
        return url
    host = parts.hostname or ""
    if parts.scheme == "s3" or (host.endswith(".amazonaws.com") and ".s3" in host):
        return unquote(parts.path).lstrip("/")
    return None


class SceneObjects:
    """What catalog does with the object store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def link(self, url: str | None) -> str | None:
        """A URL that a browser can GET for 15 minutes. A URL that is not S3's is given as it is; None when there is none."""
        if url is None:
            return None
        key = object_key(url)
        if key is None:
            return url if urlsplit(url).scheme in ("http", "https") else None
        try:
            return await self._storage.signed_url(key, expires_in=LINK_LIFETIME)
        except YouSyncError as error:
            log.warning("an object could not be linked", extra={"key": key, "error": error.detail})
            return None

    async def pitch(self, url: str | None) -> Any:
        """The melody: the JSON document at `url`. None when it is absent or unreadable, and NaN in it becomes null."""
        key = object_key(url) if url is not None else None
        if key is None:
            return None
        try:
            async with asyncio.timeout(PITCH_SECONDS):
                return json.loads(await self._read(key), parse_constant=lambda _: None)
        except (YouSyncError, TimeoutError, ValueError, RecursionError) as error:
            log.warning("a melody could not be read", extra={"key": key, "error": repr(error)})
            return None

    async def stored_pitch(self, key: str) -> Any:
        """The melody under `key` however long it takes. None when there is none, or no JSON. Raises `Unavailable`."""
        try:
            return json.loads(await self._read(key), parse_constant=lambda _: None)
        except (YouSyncError, ValueError, RecursionError) as error:
            if isinstance(error, YouSyncError) and error.retryable:
                raise
            log.warning("a melody cannot be exported", extra={"key": key, "error": repr(error)})
            return None

    async def keep_pitch(self, key: str, document: bytes) -> bool | None:
        """Store a melody. True when there was none, False when it replaced another one, None when it is there already."""
        try:
            there = await self._read(key)
        except ObjectNotFound:
            there = None
        if there == document:
            return None

        async def once() -> AsyncIterator[bytes]:
            yield document

        await self._storage.put(key, once(), media_type=PITCH_MEDIA_TYPE)
        return there is None

    async def _read(self, key: str) -> bytes:
        content = bytearray()
        async for chunk in self._storage.read(key):
            content += chunk
            if len(content) > MAX_PITCH_BYTES:
                raise ValueError(f"longer than {MAX_PITCH_BYTES} bytes")
        return bytes(content)

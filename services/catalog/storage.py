"""The objects of scenes: melody and background sound, which lie in the object store under the keys that tokens hold."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from urllib.parse import unquote, urlsplit

from prometheus_client import Counter
from pydantic_core import to_json

from libs.common.errors import YouSyncError
from libs.common.storage.base import ObjectNotFound, Storage
from services.catalog.remembering import Remembered

log = logging.getLogger(__name__)

MISSING = Counter("yousync_scene_objects_missing_total", "Objects that a scene was shown without", ["object", "reason"])

LINK_LIFETIME = timedelta(seconds=900)  # the contract's; enough to load and play a scene once
# Who was shown a scene in this many seconds before is told that nothing is new: the link they have lasts ten minutes more.
LINK_PERIOD = 300
OBJECT_SECONDS = 1.0  # a scene is shown without its melody rather than later than this
RECOVERY_SECONDS = 5.0  # so long nobody waits for a store that let somebody wait, or refused
PITCH_KEPT_SECONDS = 60.0  # how long another process' import may stay unseen
MAX_PITCH_BYTES = 8 * 1024 * 1024  # an hour of film at 100 values a second has about that
PITCH_MEDIA_TYPE = "application/json"


_ABSENT: Final = "absent"
_UNREADABLE: Final = "unreadable"
_UNAVAILABLE: Final = "unavailable"


def object_key(url: str) -> str | None:
    """The key that a token's `s3_..._url` means: a bare key, `s3://bucket/key` or S3's own https form; None for other URLs."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half of an IPv6 address
        return None
    if not parts.scheme or "://" not in url:
        return url
    host = parts.hostname or ""
    if parts.scheme == "s3" or (host.endswith(".amazonaws.com") and ".s3" in host):
        return unquote(parts.path).lstrip("/")
    return None


class SceneObjects:
    """What catalog does with the object store."""

    def __init__(self, storage: Storage, *, pitch_cache_bytes: int) -> None:
        self._storage = storage
        self._melodies = Remembered(max_bytes=pitch_cache_bytes, seconds=PITCH_KEPT_SECONDS)
        self._down_until = 0.0  # monotonic

    async def link(self, url: str | None) -> str | None:
        """A URL that a browser can GET for 15 minutes. A URL that is not S3's is given as it is; None when there is none.

        A store that does not answer in time is no reason to withhold the link: the browser asks it itself.
        """
        if url is None:
            return None
        key = object_key(url)
        if key is None:
            return url if url.startswith(("http://", "https://")) else None
        try:
            if self._up:
                async with asyncio.timeout(OBJECT_SECONDS):
                    await self._storage.stat(key)
        except ObjectNotFound:
            self._missing("bgvoice", key, _ABSENT)
            return None
        except (YouSyncError, TimeoutError) as error:
            self._note(error)
        try:
            return await self._storage.signed_url(key, expires_in=LINK_LIFETIME)
        except YouSyncError as error:
            self._missing("bgvoice", key, _UNREADABLE if not error.retryable else _UNAVAILABLE, error)
            return None

    async def pitch(self, url: str | None) -> bytes | None:
        """The melody: the JSON document at `url`. None when it is absent or unreadable, and NaN in it is null."""
        key = object_key(url) if url is not None else None
        if key is None:
            return None
        try:
            melody = await self._melodies.get(key, self._melody)
        except (YouSyncError, TimeoutError) as error:
            self._note(error)
            unreadable = isinstance(error, YouSyncError) and not error.retryable
            self._missing("pitch", key, _UNREADABLE if unreadable else _UNAVAILABLE, error)
            return None
        except (ValueError, RecursionError) as error:
            self._missing("pitch", key, _UNREADABLE, error)
            return None
        if melody is None:
            self._missing("pitch", key, _ABSENT)
        return melody

    async def stored_pitch(self, key: str) -> bytes | None:
        """The melody under `key` however long it takes. None when there is none, or no JSON. Raises `Unavailable`."""
        try:
            return to_json(json.loads(await self._read(key), parse_constant=lambda _: None), inf_nan_mode="null")
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
        self._melodies.forget(key)
        return there is None

    async def _melody(self, key: str) -> bytes | None:
        if not self._up:
            raise TimeoutError
        try:
            async with asyncio.timeout(OBJECT_SECONDS):
                content = await self._read(key)
        except ObjectNotFound:
            return None
        return to_json(json.loads(content, parse_constant=lambda _: None), inf_nan_mode="null")

    @property
    def _up(self) -> bool:
        return time.monotonic() >= self._down_until

    def _note(self, error: Exception) -> None:
        if self._up and (isinstance(error, TimeoutError) or (isinstance(error, YouSyncError) and error.retryable)):
            self._down_until = time.monotonic() + RECOVERY_SECONDS
            log.warning("the object storage does not answer", extra={"error": repr(error)})

    def _missing(self, what: str, key: str, reason: str, error: Exception | None = None) -> None:
        MISSING.labels(what, reason).inc()
        log.info("a scene is shown without an object", extra={"key": key, "reason": reason, "error": repr(error)})

    async def _read(self, key: str) -> bytes:
        content = bytearray()
        async for chunk in self._storage.read(key):
            content += chunk
            if len(content) > MAX_PITCH_BYTES:
                raise ValueError(f"longer than {MAX_PITCH_BYTES} bytes")
        return bytes(content)

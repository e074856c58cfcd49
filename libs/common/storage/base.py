"""The port to the object store: what every storage must do (`tests/libs/common/storage/conformance.py`)."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from libs.common.errors import Kind, YouSyncError


class ObjectNotFound(YouSyncError):
    """There is no object under this key."""

    kind = Kind.NOT_FOUND
    code = "object_not_found"


class InvalidKey(YouSyncError):
    """A key that could name something else than an object of ours: `..`, an empty part, control characters, > 512 bytes."""

    kind = Kind.INVALID
    code = "invalid_object_key"


class InvalidMediaType(YouSyncError):
    """Not `type/subtype` with optional parameters; as a header it could end the header and begin another."""

    kind = Kind.INVALID
    code = "invalid_media_type"


class InvalidStorageUrl(YouSyncError):
    """A configured address of a store that names no kind of store we have; the message lists the accepted forms."""

    kind = Kind.INVALID
    code = "invalid_storage_url"


class StorageUnavailable(YouSyncError):
    """The object store does not answer, or refuses."""

    kind = Kind.UNAVAILABLE
    code = "storage_unavailable"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is known of an object without reading it. `size` in bytes."""

    key: str
    size: int
    media_type: str


MAX_KEY_BYTES = 512  # S3 takes 1024; half of it keeps a signed URL below 2,000 characters even when every byte is escaped
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}(; ?[\w.+-]{1,32}=(?:[\w.+-]{1,64}|\"[\w.+, -]{1,64}\"))*", re.ASCII)


def check_key(key: str) -> str:
    """The key itself when it may name an object, else `InvalidKey`. Every method of every store begins with it."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:  # a lone surrogate: no UTF-8 form, so no name in any store
        raise InvalidKey("An object key must be valid Unicode text.") from None
    if not 0 < size <= MAX_KEY_BYTES:
        raise InvalidKey(f"An object key has 1 to {MAX_KEY_BYTES} bytes, this one has {size}.")
    if not key.isprintable():
        raise InvalidKey("An object key must not contain control characters.")
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise InvalidKey("An object key must not begin or end with '/' and must not contain empty parts, '.' or '..'.")
    return key


def check_media_type(media_type: str) -> str:
    """The media type itself when it is one (RFC 9110, 8.3.1), else `InvalidMediaType`."""
    if len(media_type) > 255 or _MEDIA_TYPE.fullmatch(media_type) is None:
        raise InvalidMediaType("A media type looks like 'audio/wav' or 'audio/webm;codecs=opus'.")
    return media_type


class Storage(Protocol):
    """An object store. Keys are `/`-separated paths of printable characters; objects appear whole or not at all."""

    async def start(self) -> None:
        """Connect; raises `StorageUnavailable` when the bucket or folder cannot be used."""

    async def close(self) -> None:
        """Disconnect."""

    async def check(self) -> None:
        """Raise `StorageUnavailable` unless the store answers right now (for readiness)."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
        """Store a stream of unknown length in bounded memory; an object under this key is replaced in one step.

        When `chunks` raises, or the call is cancelled while it reads them, nothing is kept and the exception is raised on.
        Cancelled later, while the store is finishing, the object is there whole or not at all.
        """

    def read(self, key: str) -> AsyncIterator[bytes]:
        """The object's bytes in pieces; raises `ObjectNotFound` at the first."""

    async def stat(self, key: str) -> StoredObject:
        """Size and media type; raises `ObjectNotFound`."""

    async def delete(self, key: str) -> None:
        """Remove the object; one that is gone already is fine."""

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin with `prefix`, in no certain order: for audits, it may look at every object there is."""

    async def signed_url(self, key: str, *, expires_in: timedelta) -> str:
        """A URL with which anyone may GET this one object until `expires_in` has passed."""

    def uri(self, key: str) -> str:
        """The object's permanent name for programs with storage access: `s3://bucket/key` or `file:///...`."""

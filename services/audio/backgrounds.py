"""The scenes' background voices, wherever the catalogue says that they lie."""

import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

from libs.common.storage.base import InvalidKey, ObjectNotFound, Storage, StoredObject
from services.audio.metrics import BACKGROUNDS_MISSING, SERVICE

log = logging.getLogger(__name__)


class Backgrounds:
    """Looks into `storage`, where the scenes' reference objects are."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def find(self, named: str | None) -> StoredObject | None:
        """The object that the catalogue names by its key or its URI; None of one that is not there.

        One in another store, or behind a link, is not fetched: we would follow whatever somebody wrote into the catalogue.
        Raises StorageUnavailable.
        """
        if not named:
            return None
        try:
            own = self._storage.uri("-").removesuffix("-")
            key = named.removeprefix(own) if named.startswith("s3://") else named
            return await self._storage.stat(key)
        except (ObjectNotFound, InvalidKey):
            BACKGROUNDS_MISSING.labels(SERVICE).inc()
            log.warning("the background voice of a scene is not there", extra={"object_key": named})
            return None

    def read(self, key: str) -> AsyncIterator[bytes]:
        """The object's bytes; raises ObjectNotFound at the first."""
        return self._storage.read(key)


def reference_url(storage_url: str, bucket: str) -> str:
    """The address of `bucket` in the store that `storage_url` names; a local disk has no buckets, so it is that itself."""
    store = urlsplit(storage_url)
    return storage_url if store.scheme == "file" else urlunsplit(store._replace(netloc=bucket))

"""The way of a recording into the house: bytes to the object store, then take, job and event in one transaction."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID, uuid4

from libs.common import deleted_users
from libs.common.contracts.audio import JobKind, Priority
from libs.common.contracts.notifier import job_channel
from libs.common.db import Database, DatabaseUnavailable, Transaction
from libs.common.storage.base import Storage, StorageUnavailable
from libs.common.telemetry import current
from services.audio import erasing_repository, repository
from services.audio.errors import EmptyUpload, IdempotencyKeyReused, InvalidIdempotencyKey, UnsupportedAudio
from services.audio.facts import audio_uploaded
from services.audio.jobs import Job, Lifetimes, new_job
from services.audio.metrics import SERVICE, UPLOAD_SECONDS, UPLOADED_BYTES
from services.audio.repository import Line, Take
from services.audio.sniffing import HEAD_BYTES, sniff

log = logging.getLogger(__name__)

MAX_KEY_LENGTH = 200
UPLOAD_LASTS = timedelta(days=1)  # from its first byte to the transaction of its take; even a batch takes minutes


@dataclass(frozen=True, slots=True)
class Target:
    """What was recorded, and how soon its score is wanted."""

    kind: JobKind
    token_id: int
    script_id: int | None
    priority: Priority

    @classmethod
    def of_line(cls, line: Line) -> Self:
        """A line, by somebody who waits for its score."""
        return cls(JobKind.LINE, line.token_id, line.script_id, Priority.HIGH)

    @classmethod
    def of_scene(cls, token_id: int, priority: Priority) -> Self:
        """A whole scene."""
        return cls(JobKind.TOKEN, token_id, None, priority)

    @property
    def folder(self) -> str:
        """Where its recordings of one uploader lie."""
        return f"{self.token_id}/{'scene' if self.script_id is None else self.script_id}"


@dataclass(frozen=True, slots=True)
class Uploader:
    """Who recorded. `client` is whose share of the servers it costs when nobody is signed in (see `deps.Client`)."""

    user_id: int | None
    client: str

    @property
    def folder(self) -> str:
        """Where all of their recordings lie."""
        return "takes/anonymous" if self.user_id is None else f"takes/{self.user_id}"

    @property
    def owner_key(self) -> str:
        """Among whom the servers are shared fairly."""
        return self.client if self.user_id is None else f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording in the object store that is nobody's take yet. `size` in bytes."""

    id: UUID
    object_key: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the jobs of uploaded takes may last, and how long an idempotency key is remembered."""

    jobs: Lifetimes
    key: timedelta


class UploadService:
    """The upload use cases."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        patience: Patience,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._storage = storage
        self._patience = patience
        self._clock = clock

    async def accept(self, target: Target, uploader: Uploader, recording: AsyncIterator[bytes], key: str | None) -> str:
        """Store a recording of `target` and begin its job; the job's id.

        With an idempotency `key` that the same user sent for the same target before, the first job's id. When anything
        fails, what `recording` raises included, nothing is left behind. Raises EmptyUpload, UnsupportedAudio,
        InvalidIdempotencyKey, IdempotencyKeyReused, DeletedUser.
        """
        if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
            raise InvalidIdempotencyKey
        began = time.perf_counter()
        stored = await self.store(f"{uploader.folder}/{target.folder}", recording)
        [job_id] = await self.begin([(stored, target)], uploader, key)
        UPLOAD_SECONDS.labels(SERVICE).observe(time.perf_counter() - began)
        return job_id

    async def store(self, folder: str, recording: AsyncIterator[bytes]) -> StoredRecording:
        """Stream the recording to the object store, looking at its first bytes and hashing all of them on the way.

        Its next way is `begin` or `discard`. If we die before either, it is erased as nobody's in `UPLOAD_LASTS`. Raises
        EmptyUpload, UnsupportedAudio.
        """
        head = b""
        async for piece in recording:
            head += piece
            if len(head) >= HEAD_BYTES:
                break
        if not head:
            raise EmptyUpload
        audio_type = sniff(head)
        if audio_type is None:
            raise UnsupportedAudio
        digest = hashlib.sha256()

        async def hashed() -> AsyncIterator[bytes]:
            digest.update(head)
            yield head
            async for piece in recording:
                digest.update(piece)
                yield piece

        recording_id = uuid4()
        object_key = f"{folder}/{recording_id}.{audio_type.extension}"
        await erasing_repository.note_upload(self._database, object_key, until=self._clock() + UPLOAD_LASTS)
        try:
            stored = await self._storage.put(object_key, hashed(), media_type=audio_type.media_type)
        except BaseException:
            await asyncio.shield(self._forget([object_key]))
            raise
        return StoredRecording(recording_id, object_key, audio_type.media_type, stored.size, digest.hexdigest())

    async def begin(
        self, recordings: Sequence[tuple[StoredRecording, Target]], uploader: Uploader, key: str | None = None
    ) -> list[str]:
        """Begin the jobs of stored recordings, of all or none, then these are discarded; the jobs' ids in their order.

        Raises DeletedUser.
        """
        takes = [self._take(stored, target, uploader) for stored, target in recordings]
        jobs = [self._job(take, target, uploader) for take, (_, target) in zip(takes, recordings, strict=True)]
        at_commit = False
        try:
            async with self._database.transaction() as tx:
                if uploader.user_id is not None:
                    await deleted_users.hold(tx, uploader.user_id)
                earlier = None if key is None else await self._earlier(tx, takes[0], jobs[0], key)
                if earlier is None:
                    if not await erasing_repository.keep_objects(tx, [take.object_key for take in takes]):
                        raise StorageUnavailable("the upload took so long that it was given up")
                    for take, job in zip(takes, jobs, strict=True):
                        await repository.add(tx, take, job)
                        tx.publish(audio_uploaded(take, job), subject=job_channel(job.id))
                at_commit = True
        except BaseException:
            # A connection that breaks at the commit leaves open whether it happened. If not, the objects are still noted.
            if not at_commit:
                await self.discard(stored for stored, _ in recordings)
            raise
        if earlier is not None:
            await self.discard(stored for stored, _ in recordings)
            return [earlier]
        UPLOADED_BYTES.labels(SERVICE).inc(sum(take.size for take in takes))
        return [job.id for job in jobs]

    async def discard(self, recordings: Iterable[StoredRecording]) -> None:
        """Remove recordings that become no takes, also when nobody waits for that any more; later, if the store is down."""
        await asyncio.shield(self._discard([stored.object_key for stored in recordings]))

    async def _discard(self, object_keys: Sequence[str]) -> None:
        left = set[str]()
        for object_key in object_keys:
            try:
                await self._storage.delete(object_key)
            except StorageUnavailable as error:
                log.warning(
                    "a recording without a job is deleted later", extra={"object_key": object_key, "error": repr(error)}
                )
                left.add(object_key)
        await self._forget([object_key for object_key in object_keys if object_key not in left])
        if left:
            with suppress(DatabaseUnavailable):  # then it is due when the upload would have been too long
                async with self._database.autocommit() as connection:
                    await erasing_repository.erase_now(connection, left, self._clock())

    async def _forget(self, object_keys: Sequence[str]) -> None:
        """There are no such objects."""
        if object_keys:
            with suppress(DatabaseUnavailable):  # then it is looked for once more, later
                async with self._database.autocommit() as connection:
                    await erasing_repository.forget_objects(connection, object_keys)

    async def _earlier(self, tx: Transaction, take: Take, job: Job, key: str) -> str | None:
        """The id of the job that an upload with this key began before; None when this one is the first."""
        if await repository.remember_upload(
            tx.connection,
            key,
            user_id=take.user_id,
            target=take.target,
            job_id=job.id,
            now=take.created_at,
            since=take.created_at - self._patience.key,
        ):
            return None
        earlier = await repository.earlier_upload(tx.connection, key, user_id=take.user_id, target=take.target)
        if earlier is None or earlier[1] != take.sha256:
            raise IdempotencyKeyReused
        return earlier[0]

    def _take(self, stored: StoredRecording, target: Target, uploader: Uploader) -> Take:
        return Take(
            id=stored.id,
            user_id=uploader.user_id,
            token_id=target.token_id,
            script_id=target.script_id,
            object_key=stored.object_key,
            media_type=stored.media_type,
            size=stored.size,
            sha256=stored.sha256,
            created_at=self._clock(),
        )

    def _job(self, take: Take, target: Target, uploader: Uploader) -> Job:
        return new_job(
            kind=target.kind,
            take_id=take.id,
            user_id=take.user_id,
            token_id=take.token_id,
            script_id=take.script_id,
            owner_key=uploader.owner_key,
            priority=target.priority,
            lifetimes=self._patience.jobs,
            now=take.created_at,
            traceparent=current("traceparent"),
        )

"""The way of a recording into the house: bytes to the object store, then take, job and event in one transaction."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from libs.common.contracts.audio import JobKind, Priority
from libs.common.contracts.notifier import job_channel
from libs.common.db import Database
from libs.common.storage.base import Storage, StorageUnavailable
from services.audio import repository
from services.audio.errors import EmptyUpload, IdempotencyKeyReused, InvalidIdempotencyKey, UnsupportedAudio
from services.audio.facts import audio_uploaded
from services.audio.jobs import Job, Lifetimes, new_job
from services.audio.metrics import SERVICE, UPLOAD_SECONDS, UPLOADED_BYTES
from services.audio.repository import Line, Take
from services.audio.sniffing import HEAD_BYTES, sniff

log = logging.getLogger(__name__)

MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the jobs of uploaded takes may last, and how long an idempotency key is remembered."""

    jobs: Lifetimes
    key: timedelta


class UploadService:
    """The upload use case."""

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

    async def accept(
        self, line: Line, user_id: int | None, recording: AsyncIterator[bytes], key: str | None, *, client: str
    ) -> str:
        """Store a recording of `line` and begin its job; the job's id.

        A caller without sign-in shares the servers with others as `client` (see `deps.Client`).
        With an idempotency `key` that the same user sent for the same line before, the first job's id. When anything
        fails, what `recording` raises included, nothing is left behind. Raises EmptyUpload, UnsupportedAudio,
        InvalidIdempotencyKey, IdempotencyKeyReused.
        """
        if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
            raise InvalidIdempotencyKey
        began = time.perf_counter()
        take = await self._store(line, user_id, recording)
        job = self._job_of(take, client)
        job_id = await self._commit(take, job, key)
        if job_id != job.id:
            await self._remove(take)
            return job_id
        UPLOADED_BYTES.labels(SERVICE).inc(take.size)
        UPLOAD_SECONDS.labels(SERVICE).observe(time.perf_counter() - began)
        return job_id

    async def _store(self, line: Line, user_id: int | None, recording: AsyncIterator[bytes]) -> Take:
        """Stream the recording to the object store, looking at its first bytes and hashing all of them on the way."""
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

        take_id = uuid4()
        owner = "anonymous" if user_id is None else str(user_id)
        object_key = f"takes/{owner}/{line.token_id}/{line.script_id}/{take_id}.{audio_type.extension}"
        stored = await self._storage.put(object_key, hashed(), media_type=audio_type.media_type)
        return Take(
            id=take_id,
            user_id=user_id,
            token_id=line.token_id,
            script_id=line.script_id,
            object_key=object_key,
            media_type=audio_type.media_type,
            size=stored.size,
            sha256=digest.hexdigest(),
            created_at=self._clock(),
        )

    def _job_of(self, take: Take, client: str) -> Job:
        return new_job(
            kind=JobKind.LINE,
            take_id=take.id,
            user_id=take.user_id,
            token_id=take.token_id,
            script_id=take.script_id,
            owner_key=client if take.user_id is None else f"user:{take.user_id}",
            priority=Priority.HIGH,
            lifetimes=self._patience.jobs,
            now=take.created_at,
        )

    async def _commit(self, take: Take, job: Job, key: str | None) -> str:
        """Take, job and event together; the id of the job that stands for this upload."""
        at_commit = False
        try:
            async with self._database.transaction() as tx:
                if key is not None and not await repository.remember_upload(
                    tx.connection,
                    key,
                    user_id=take.user_id,
                    target=take.target,
                    job_id=job.id,
                    now=take.created_at,
                    since=take.created_at - self._patience.key,
                ):
                    earlier = await repository.earlier_upload(tx.connection, key, user_id=take.user_id, target=take.target)
                    if earlier is None or earlier[1] != take.sha256:
                        raise IdempotencyKeyReused
                    return earlier[0]
                await repository.add(tx.connection, take, job)
                tx.publish(audio_uploaded(take, job), subject=job_channel(job.id))
                at_commit = True
        except BaseException:
            # A connection that breaks at the commit leaves open whether it happened: then the object stays, for a job
            # without its recording would be worse than a recording without a job.
            if at_commit:
                log.error("the commit of an upload is in doubt", extra={"object_key": take.object_key})
            else:
                await self._remove(take)
            raise
        return job.id

    async def _remove(self, take: Take) -> None:
        try:
            await asyncio.shield(self._storage.delete(take.object_key))
        except StorageUnavailable:
            log.error("a recording without a job is left in the object store", extra={"object_key": take.object_key})

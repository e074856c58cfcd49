"""Mixes the dubbings that were asked for: from the message to the object that can be heard."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.contracts.audio import DubbingRequested
from libs.common.db import Database
from libs.common.storage.base import Storage, StorageUnavailable
from services.audio import dubbing_repository, erasing_repository
from services.audio.backgrounds import Backgrounds
from services.audio.changes import Clock, utc_now
from services.audio.dubbing_errors import MixingCrashed, MixingTimedOut, TakeUnusable
from services.audio.dubbing_news import DubbingNews
from services.audio.dubbing_repository import Dubbing, DubbingState
from services.audio.erasing import ObjectEraser
from services.audio.metrics import DUBBINGS, MIXING_SECONDS, SERVICE
from services.audio.mixer import Mixer, UnusableVoice
from services.audio.mixing_wire import MEDIA_TYPE

log = logging.getLogger(__name__)

HANDLER = "audio.dubbing"  # in the inbox


@dataclass(frozen=True, slots=True)
class _End:
    """What became of an attempt."""

    state: DubbingState
    background: bool = False
    reason: str | None = None
    script_id: int | None = None


class DubbingWork:
    """The use case of the queue. `attempts` in all; of a learner's dubbings of a scene the `kept` newest stay."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        backgrounds: Backgrounds,
        mixer: Mixer,
        news: DubbingNews,
        eraser: ObjectEraser,
        *,
        attempts: int,
        kept: int,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._storage = storage
        self._backgrounds = backgrounds
        self._mixer = mixer
        self._news = news
        self._eraser = eraser
        self._attempts = attempts
        self._kept = kept
        self._clock = clock

    async def requested(self, event: DubbingRequested, message: Message) -> None:
        """Mix it, unless that is done. Raises what is worth another attempt, of which the bus makes some."""
        dubbing_id = UUID(event.dubbing_id)
        async with self._database.reading() as connection:
            dubbing = await dubbing_repository.find(connection, dubbing_id)
        end = None
        if dubbing is not None and dubbing.state is DubbingState.REQUESTED:
            end = await self._attempt(dubbing, message.attempt)
        async with self._database.transaction() as tx:
            if not await tx.first_time(message, HANDLER):
                return
            now = self._clock()
            if end is not None:
                await dubbing_repository.finish(
                    tx.connection,
                    dubbing_id,
                    end.state,
                    now,
                    background=end.background,
                    reason=end.reason,
                    script_id=end.script_id,
                )
            old = await dubbing_repository.erase(tx.connection, event.user_id, event.token_id, keep=self._kept)
            if await dubbing_repository.find(tx.connection, dubbing_id) is None:
                old.append(event.object_key)  # erased, while it was being mixed or before: nobody else knows this object
            await erasing_repository.note_objects(tx.connection, old, now)
        if old:
            self._eraser.wake()
        if end is not None:
            DUBBINGS.labels(SERVICE, end.state.value, end.reason or "").inc()
            await self._news.tell(dubbing_id)

    async def _attempt(self, dubbing: Dubbing, attempt: int) -> _End:
        plan = dubbing.plan
        background = None if plan.background is None else self._backgrounds.read(plan.background)
        voices = [
            (self._storage.read(voice.object_key), [[part.at, part.skip, part.seconds] for part in voice.parts])
            for voice in plan.voices
        ]
        try:
            with MIXING_SECONDS.labels(SERVICE).time():
                mixed = await self._mixer.mix(plan.seconds, background, voices)
                await self._storage.put(dubbing.object_key, _pieces(mixed.file), media_type=MEDIA_TYPE)
        except UnusableVoice as unusable:
            return _End(DubbingState.FAILED, reason=TakeUnusable.code, script_id=plan.voices[unusable.number].script_id)
        except (MixingCrashed, MixingTimedOut, StorageUnavailable) as error:
            if attempt < self._attempts:
                raise
            log.error("a dubbing could not be mixed", extra={"dubbing_id": str(dubbing.id), "error": repr(error)})
            return _End(DubbingState.FAILED, reason=error.code)
        return _End(DubbingState.COMPLETED, background=mixed.background)


def mixing_router(work: DubbingWork) -> Router:
    """Everything that the queue `audio.mixing` brings."""
    router = Router()
    router.on(DubbingRequested, work.requested)
    return router


async def _pieces(file: bytes) -> AsyncIterator[bytes]:
    yield file

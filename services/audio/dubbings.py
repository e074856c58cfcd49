"""What a learner asks about dubbings: have one mixed, hear the latest one, hear the recordings that it is made of.

Mixing itself is work for a queue (`dubbing_work`): whoever asks waits for it, for a while.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from libs.common import deleted_users
from libs.common.contracts.audio import DubbingRequested
from libs.common.db import Database
from libs.common.storage.base import Storage
from services.audio import dubbing_repository
from services.audio.backgrounds import Backgrounds
from services.audio.changes import Clock, utc_now
from services.audio.dubbing_errors import (
    DubbingFailed,
    DubbingNotReady,
    NoDubbing,
    NoTakes,
    TakeUnusable,
    TooManyDubbings,
)
from services.audio.dubbing_news import DubbingNews
from services.audio.dubbing_plan import Plan, planned
from services.audio.dubbing_repository import Dubbing, DubbingState
from services.audio.errors import TokenNotFound
from services.audio.mixing_wire import EXTENSION
from services.audio.scripts import MAX_ID
from services.audio.tokens import TokenService

LINK_LIFETIME = timedelta(hours=1)  # the public contract's
LOOK_SECONDS = 2.0  # between looks at a dubbing that is waited for, should its news get lost


@dataclass(frozen=True, slots=True)
class DubbingLimits:
    """Times in seconds."""

    wait: float  # for an answer
    lost: float  # after which work that nothing came of is sent again, if somebody asks
    scene: float  # length of a scene
    open: int  # dubbings of one learner that are not ready


@dataclass(frozen=True, slots=True)
class Ready:
    """A dubbing that can be heard by `url`, and whether the scene's background is in it."""

    url: str
    background: bool


class DubbingService:
    """The use cases. `links` signs for browsers."""

    def __init__(
        self,
        database: Database,
        links: Storage,
        backgrounds: Backgrounds,
        tokens: TokenService,
        news: DubbingNews,
        limits: DubbingLimits,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._links = links
        self._backgrounds = backgrounds
        self._tokens = tokens
        self._news = news
        self._limits = limits
        self._clock = clock

    async def synthesize(self, user_id: int, token_id: int) -> Ready:
        """Mix the learner's latest takes of the scene, unless that was done before, and wait until it can be heard.

        Raises TokenNotFound, NoTakes, SceneNotMixable, TakeUnusable, TooManyDubbings, DubbingFailed, DubbingNotReady,
        DeletedUser.
        """
        dubbing = await self._request(user_id, token_id, await self._plan(user_id, token_id))
        if dubbing.state is DubbingState.REQUESTED:
            dubbing = await self._ended(dubbing)
        if dubbing.state is DubbingState.FAILED:
            raise _failure(dubbing)
        return Ready(await self._link(dubbing.object_key), dubbing.background)

    async def latest(self, user_id: int, token_id: int) -> str:
        """A link to the learner's newest dubbing of the scene. Raises NoDubbing."""
        dubbing = None
        if 0 < token_id <= MAX_ID:
            async with self._database.reading() as connection:
                dubbing = await dubbing_repository.latest(connection, user_id, token_id)
        if dubbing is None:
            raise NoDubbing
        return await self._link(dubbing.object_key)

    async def recordings(self, user_id: int, token_id: int) -> list[tuple[int, str]]:
        """(script id, link) of the learner's latest recording of each line of the scene; none of an unknown one."""
        if not 0 < token_id <= MAX_ID:
            return []
        async with self._database.reading() as connection:
            found = await dubbing_repository.latest_recordings(connection, user_id, token_id)
        return [(script_id, await self._link(object_key)) for script_id, object_key in found]

    async def _plan(self, user_id: int, token_id: int) -> Plan:
        await self._tokens.token(token_id)
        async with self._database.reading() as connection:
            scene = await dubbing_repository.find_scene(connection, user_id, token_id)
        if scene is None:  # as good as never: it was known a moment ago
            raise TokenNotFound(token_id)
        if not scene.takes:
            raise NoTakes
        background = await self._backgrounds.find(scene.background)
        return planned(scene.start, scene.end, scene.takes, background, max_seconds=self._limits.scene)

    async def _request(self, user_id: int, token_id: int, plan: Plan) -> Dubbing:
        """The dubbing of this plan: a new one, the one that is under way or ready, or one that failed and is tried again."""
        now, new_id = self._clock(), uuid4()
        key = f"dubbings/{user_id}/{token_id}/{new_id}.{EXTENSION}"
        in_it = plan.background is not None
        new = Dubbing(new_id, user_id, token_id, plan, key, DubbingState.REQUESTED, in_it, None, None, now)
        async with self._database.transaction() as tx:
            await deleted_users.hold(tx, user_id)
            await dubbing_repository.lock_learner(tx.connection, user_id)
            dubbing = await dubbing_repository.lock_same(tx.connection, user_id, token_id, plan)
            if dubbing is not None and not self._needs_work(dubbing):
                return dubbing
            if await dubbing_repository.count_open(tx.connection, user_id, since=now - self._lost) >= self._limits.open:
                raise TooManyDubbings
            if dubbing is None:
                dubbing = new
                await dubbing_repository.add(tx.connection, new)
            else:
                await dubbing_repository.request_again(tx.connection, dubbing.id, now)
            event = DubbingRequested(
                dubbing_id=str(dubbing.id), user_id=user_id, token_id=token_id, object_key=dubbing.object_key
            )
            tx.publish(event, subject=f"dubbing:{dubbing.id}")
        return replace(dubbing, state=DubbingState.REQUESTED)

    def _needs_work(self, dubbing: Dubbing) -> bool:
        match dubbing.state:
            case DubbingState.COMPLETED:
                return False
            case DubbingState.FAILED:
                return dubbing.reason != TakeUnusable.code  # the same takes would fail in the same way
            case DubbingState.REQUESTED:
                return self._clock() - dubbing.requested_at > self._lost

    @property
    def _lost(self) -> timedelta:
        return timedelta(seconds=self._limits.lost)

    async def _ended(self, dubbing: Dubbing) -> Dubbing:
        """The dubbing when it is no longer requested. Raises DubbingNotReady, or NoTakes when it was erased meanwhile."""
        try:
            async with asyncio.timeout(self._limits.wait), self._news.expected(dubbing.id) as ended:
                while True:
                    async with self._database.reading() as connection:
                        now = await dubbing_repository.find(connection, dubbing.id)
                    if now is None:
                        raise NoTakes
                    if now.state is not DubbingState.REQUESTED:
                        return now
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await ended.wait()
        except TimeoutError:
            raise DubbingNotReady from None

    async def _link(self, object_key: str) -> str:
        return await self._links.signed_url(object_key, expires_in=LINK_LIFETIME)


def _failure(dubbing: Dubbing) -> TakeUnusable | DubbingFailed:
    return TakeUnusable(dubbing.script_id) if dubbing.reason == TakeUnusable.code else DubbingFailed()

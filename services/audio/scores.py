"""Scores and ranks of what was recorded."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libs.common.db import Database
from libs.common.people import People, Person
from services.audio import scores_repository
from services.audio.errors import NoResults
from services.audio.mypage import PracticeService
from services.audio.scores_repository import Recorder

TOP = 3
# The leaderboard counts all recordings that there are, for anybody who asks: a process does so once in this time.
KEPT_SECONDS = 30.0
KEPT_NAMELESS_SECONDS = 3.0  # and asks that often for names that it has not


@dataclass(frozen=True, slots=True)
class SceneScore:
    """How well somebody speaks a scene: the mean of the newest results, `score` 0..1."""

    score: float
    completed_scripts: int
    total_scripts: int


@dataclass(frozen=True, slots=True)
class TopRecorder:
    """A place on the leaderboard; without names when `auth` has none, or does not say."""

    user_id: int
    full_name: str | None
    profile_picture: str | None
    recordings: int


class ScoreService:
    """The use cases."""

    def __init__(
        self,
        database: Database,
        practice: PracticeService,
        people: People,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._practice = practice
        self._people = people
        self._clock = clock
        self._looking = asyncio.Lock()
        self._recorders: Sequence[Recorder] = ()
        self._count_again = float("-inf")
        self._top: Sequence[TopRecorder] = ()
        self._ask_again = float("-inf")

    async def of_scene(self, user_id: int, token_id: int) -> SceneScore:
        """The mean of what the result page shows: each line's newest result, and that of the whole scene, if there is one.

        Results without a score do not count. Raises NoResults when there is none, and what `PracticeService.spoken` does.
        """
        texts = await self._practice.spoken(user_id, token_id)
        scores = [text.score for text in texts if text.score is not None]
        if not scores:
            raise NoResults
        lines = [text for text in texts if text.script_id is not None]
        spoken = lines if len(lines) < len(texts) else [line for line in lines if line.job_id is not None]
        return SceneScore(sum(scores) / len(scores), completed_scripts=len(spoken), total_scripts=len(lines))

    async def average(self, user_id: int) -> float:
        """The mean score of all of the user's results, 0..1. Raises NoResults when none has one."""
        async with self._database.reading() as connection:
            mean = await scores_repository.mean_score(connection, user_id)
        if mean is None:
            raise NoResults
        return mean

    async def top_recorders(self) -> Sequence[TopRecorder]:
        """The `TOP` users with the most recordings, as they were some seconds ago at most."""
        async with self._looking:
            now = self._clock()
            if now >= self._count_again:
                async with self._database.reading() as connection:
                    self._recorders = await scores_repository.top_recorders(connection, TOP)
                self._count_again, self._ask_again = now + KEPT_SECONDS, now
            if now >= self._ask_again:
                people = await self._people.named(each.user_id for each in self._recorders)
                self._top = [_place(each, people.get(each.user_id)) for each in self._recorders]
                all_named = len(people) == len(self._recorders)
                self._ask_again = now + (KEPT_SECONDS if all_named else KEPT_NAMELESS_SECONDS)
            return self._top


def _place(recorder: Recorder, person: Person | None) -> TopRecorder:
    if person is None:
        return TopRecorder(recorder.user_id, None, None, recorder.recordings)
    return TopRecorder(recorder.user_id, person.full_name, person.profile_picture, recorder.recordings)

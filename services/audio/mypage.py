"""What somebody practised, for my page: read from takes, jobs and our copies of the catalogue.

Copies that lack what is shown are completed from the catalogue on the way. If it does not answer, what is known is shown.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from libs.common.db import Database
from libs.common.errors import Unavailable
from services.audio import mypage_repository, token_repository
from services.audio.errors import CatalogUnavailable, TokenNotFound
from services.audio.mypage_repository import DubbedToken, SpokenText, Totals
from services.audio.scripts import MAX_ID
from services.audio.tokens import TokenService

RECENT = 20  # scenes of an overview, as many as a page of the list has
# A page is shown without the names of some scenes rather than later; what came is kept, so the next look has more.
LOOKUP_SECONDS = 1.0
LOOKUPS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Practice:
    """All that an overview of somebody's practice has."""

    totals: Totals
    recent: Sequence[DubbedToken]  # `RECENT` at most, newest first


class PracticeService:
    """The use cases."""

    def __init__(self, database: Database, tokens: TokenService) -> None:
        self._database = database
        self._tokens = tokens

    async def dubbed(self, user_id: int, *, limit: int, offset: int) -> list[DubbedToken]:
        """The scenes that the user recorded anything of, the one with the newest recording first."""
        dubbed = await self._dubbed(user_id, limit, offset)
        if unknown := [token.token_id for token in dubbed if not token.is_described]:
            await self._look_up(unknown)
            dubbed = await self._dubbed(user_id, limit, offset)
        return dubbed

    async def overview(self, user_id: int) -> Practice:
        """How much the user practised, and what lately."""
        async with self._database.reading() as connection:
            totals = await mypage_repository.totals(connection, user_id)
        return Practice(totals, await self.dubbed(user_id, limit=RECENT, offset=0))

    async def spoken(self, user_id: int, token_id: int) -> list[SpokenText]:
        """Every line of the scene with the user's newest result of its own; behind them that of the whole scene, if any.

        Of a scene that is gone only to who has results of it. Raises TokenNotFound, also of a scene without lines, or
        CatalogUnavailable when nobody can tell.
        """
        if not 0 < token_id <= MAX_ID:
            raise TokenNotFound(token_id)
        silence: CatalogUnavailable | None = None
        async with self._database.reading() as connection:
            known = (await token_repository.find_tokens(connection, [token_id])).get(token_id)
        if known is None or not (known.has_lines or known.deleted):
            try:
                await self._tokens.fetch(token_id)
            except CatalogUnavailable as error:
                silence = error
        async with self._database.reading() as connection:
            texts = await mypage_repository.spoken_texts(connection, user_id, token_id)
        has_results = any(text.job_id is not None for text in texts)
        if not has_results and (not texts or (known is not None and known.deleted)):
            raise silence or TokenNotFound(token_id)
        return texts

    async def _dubbed(self, user_id: int, limit: int, offset: int) -> list[DubbedToken]:
        async with self._database.reading() as connection:
            return await mypage_repository.dubbed_tokens(connection, user_id, limit=limit, offset=offset)

    async def _look_up(self, token_ids: Iterable[int]) -> None:
        """Bring our copies of these scenes up to date, as many as can be in time."""
        room, in_vain = asyncio.Semaphore(LOOKUPS_AT_ONCE), asyncio.Event()

        async def look_up(token_id: int) -> None:
            async with room:
                if not in_vain.is_set():
                    try:
                        await self._tokens.fetch(token_id)
                    except Unavailable:
                        in_vain.set()

        with suppress(TimeoutError):
            async with asyncio.timeout(LOOKUP_SECONDS):
                await asyncio.gather(*map(look_up, token_ids))

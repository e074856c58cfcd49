"""What clients look through: lists in pages, and the search for actors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import md5
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.db import Database
from services.catalog import list_repository as sql
from services.catalog import repository, search_repository
from services.catalog.errors import NoActorOfToken, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.folding import INITIALS, fold
from services.catalog.paging import Listing, Order, Page, Part, Place
from services.catalog.repository import Actor, Script, Token

MAX_ACTORS_MEANT = 10  # of a search text whose scenes are asked for

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Duet:
    """Two scenes of one film for two speakers."""

    film_id: int
    first: Token
    second: Token


def _by_id(name: str) -> Order:
    return Order(name, ("id",), lambda entry: (entry.id,))


def _by_views(name: str) -> Order:
    return Order(name, ("views", "id"), lambda token: (token.view_count, token.id))


ACTORS = _by_id("actors")
TOKENS = _by_id("tokens")
LATEST = _by_id("latest")
POPULAR = _by_views("popular")
OF_CATEGORY = _by_id("category")
OF_ACTOR = _by_id("actor")
RELATED = _by_views("related")
DUETS = Order("duets", ("id",), lambda duet: (duet.film_id,))
SCRIPTS = _by_id("scripts")
SPOKEN = Order("spoken", ("seconds", "id"), lambda script: (script.start_time, script.id))


def _shuffled(start: str) -> Order:
    """The order of short scenes from `start` on and around; a page's cursor remembers where the first page began."""

    def place(token: Token) -> Place:
        mix = _mix(str(token.id))
        return start, int(mix < start), mix, token.id

    return Order("short", ("md5", "lap", "md5", "id"), place)


def _start_of_today() -> str:
    return _mix(datetime.now(UTC).date().isoformat())


def _mix(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


class Lists:
    """The lists of the catalogue. All raise `BadPage`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def actors(self, page: Page) -> Listing[Actor]:
        """All actors, by id."""
        return await self._read(ACTORS, page, sql.actors)

    async def find_actors(self, text: str, limit: int) -> list[Actor]:
        """Actors whom `text` means, by name or alias; nobody for a blank one.

        First who is called exactly so, then whose name begins so, has it somewhere, or is at least like it. Text of nothing
        but initial consonants means the syllables that begin with them: ㅌㅎㄷ is 톰 하디.
        """
        folded = fold(text)
        if not folded:
            return []
        initials = "".join(folded.split())
        only_initials = INITIALS.issuperset(initials)
        async with self._database.autocommit() as connection:
            if only_initials:
                found = await search_repository.by_initials(connection, initials, limit)
            else:
                found = await search_repository.called(connection, folded, limit)
            for more in (search_repository.containing, *(() if only_initials else (search_repository.alike,))):
                if len(found) < limit:
                    found += await more(connection, folded, [actor.id for actor in found], limit - len(found))
        return found

    async def tokens_of_actor(self, text: str, page: Page) -> Listing[Token]:
        """Scenes of the actors whom `text` means, by id."""
        actors = await self.find_actors(text, MAX_ACTORS_MEANT)
        ids = [actor.id for actor in actors]
        return await self._read(OF_ACTOR, page, lambda connection, part: sql.tokens_of_actors(connection, ids, part))

    async def tokens(self, page: Page) -> Listing[Token]:
        """All scenes, by id."""
        return await self._read(TOKENS, page, sql.tokens)

    async def latest(self, page: Page) -> Listing[Token]:
        """The newest scenes first."""
        return await self._read(LATEST, page, sql.latest_tokens)

    async def popular(self, page: Page) -> Listing[Token]:
        """The most viewed scenes first, of equals the newest."""
        return await self._read(POPULAR, page, sql.popular_tokens)

    async def sync_collection(self, page: Page) -> Listing[Token]:
        """Short scenes in an order that looks random, every day (UTC) from another one on, so that pages fit together."""
        start = _start_of_today()
        if (after := _shuffled(start).part(page).after) is not None:
            start = after[0]
        return await self._read(_shuffled(start), page, partial(sql.short_tokens, start=start))

    async def of_category(self, text: str, page: Page) -> Listing[Token]:
        """Scenes whose category contains `text`, whatever the case, by id; none for a blank one."""
        folded = fold(text)

        async def read(connection: AsyncConnection, part: Part) -> list[Token]:
            named = [each for each in await sql.categories(connection) if folded in fold(each)] if folded else []
            return await sql.tokens_of_categories(connection, named, part)

        return await self._read(OF_CATEGORY, page, read)

    async def related(self, token_id: int, page: Page) -> Listing[Token]:
        """Other scenes of the same actors, the most viewed first. Raises `TokenNotFound`, `NoActorOfToken` as well."""

        async def read(connection: AsyncConnection, part: Part) -> list[Token]:
            if not 0 < token_id <= MAX_ID or await repository.token(connection, token_id) is None:
                raise TokenNotFound
            if not await repository.has_actor(connection, token_id):
                raise NoActorOfToken
            return await sql.related_tokens(connection, token_id, part)

        return await self._read(RELATED, page, read)

    async def duets(self, page: Page) -> Listing[Duet]:
        """Every film with exactly two scenes, in the order in which the films came."""

        async def read(connection: AsyncConnection, part: Part) -> list[Duet]:
            return [Duet(*pair) for pair in await sql.pairs(connection, part)]

        return await self._read(DUETS, page, read)

    async def scripts(self, page: Page) -> Listing[Script]:
        """All lines, by id."""
        return await self._read(SCRIPTS, page, sql.scripts)

    async def scripts_of_token(self, token_id: int, page: Page) -> Listing[Script]:
        """The lines of a scene in the order in which they are spoken; none for a scene that is not there."""

        async def read(connection: AsyncConnection, part: Part) -> list[Script]:
            there = 0 < token_id <= MAX_ID
            return await sql.scripts_of_token(connection, token_id, part) if there else []

        return await self._read(SPOKEN, page, read)

    async def _read(
        self, order: Order, page: Page, read: Callable[[AsyncConnection, Part], Awaitable[Sequence[T]]]
    ) -> Listing[T]:
        part = order.part(page)
        async with self._database.autocommit() as connection:
            return order.listing(page, await read(connection, part))

"""The SQL of bookmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.learner_models import BOOKMARKS
from services.catalog.models import TOKENS, URLS
from services.catalog.paging import Page


@dataclass(frozen=True, slots=True)
class MarkedToken:
    """What a list of bookmarks shows of a scene."""

    id: int
    token_name: str
    actor_name: str
    category: str | None
    thumbnail_url: str | None
    youtube_url: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A scene that somebody wants to find again. Times are aware, in UTC."""

    id: int
    user_id: int
    token_id: int
    created_at: datetime
    token: MarkedToken


_SCENE = (TOKENS.c.token_name, TOKENS.c.actor_name, TOKENS.c.category, TOKENS.c.thumbnail_url, URLS.c.youtube_url)


async def add(connection: AsyncConnection, user_id: int, token_id: int) -> bool:
    """Whether there is a new bookmark; False when there was one. The scene must be held."""
    new = insert(BOOKMARKS).values(user_id=user_id, token_id=token_id).on_conflict_do_nothing().returning(BOOKMARKS.c.id)
    return (await connection.execute(new)).first() is not None


async def remove(connection: AsyncConnection, user_id: int, token_id: int) -> None:
    """No bookmark, whether or not there was one."""
    await connection.execute(sa.delete(BOOKMARKS).where(BOOKMARKS.c.user_id == user_id, BOOKMARKS.c.token_id == token_id))


async def erase(connection: AsyncConnection, user_id: int) -> int:
    """None of this person any more; how many there were."""
    return (await connection.execute(sa.delete(BOOKMARKS).where(BOOKMARKS.c.user_id == user_id))).rowcount


async def of_user(connection: AsyncConnection, user_id: int, page: Page | None = None) -> Sequence[Bookmark]:
    """Somebody's bookmarks, the newest first: a page of them, or all."""
    theirs = (
        sa.select(BOOKMARKS, *_SCENE)
        .join_from(BOOKMARKS, TOKENS)
        .join(URLS)
        .where(BOOKMARKS.c.user_id == user_id)
        .order_by(BOOKMARKS.c.id.desc())
    )
    if page is not None:
        theirs = theirs.offset(page.skip).limit(page.limit)
    return [
        Bookmark(bookmark_id, user_id, token_id, created_at, MarkedToken(token_id, *scene))
        for bookmark_id, user_id, token_id, created_at, *scene in await connection.execute(theirs)
    ]


async def count(connection: AsyncConnection, user_id: int) -> int:
    """How many somebody has."""
    theirs = sa.select(sa.func.count()).select_from(BOOKMARKS).where(BOOKMARKS.c.user_id == user_id)
    number: int = (await connection.execute(theirs)).scalar_one()
    return number

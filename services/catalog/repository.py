"""All SQL of catalog but the import's, which is in `import_repository.py`. Every list has an order that nothing shakes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.models import ACTOR_ALIASES, ACTORS, SCRIPTS, TOKEN_ACTORS, TOKENS, URLS, WORDS


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list."""

    skip: int
    limit: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody whose lines can be spoken."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Token:
    """A scene: a clip of a film. Times are seconds into the film; the `s3_` fields are keys or URLs of objects."""

    id: int
    token_name: str
    actor_name: str
    category: str | None
    start_time: float
    end_time: float
    s3_textgrid_url: str | None
    s3_pitch_url: str | None
    s3_bgvoice_url: str | None
    thumbnail_url: str | None
    youtube_url: str
    view_count: int
    version: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a line. Times are seconds into the film; `mfcc` is None also where it was not asked for."""

    id: int
    script_id: int
    start_time: float | None
    end_time: float | None
    word: str | None
    probability: float | None
    mfcc: list[list[float]] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A line of a scene with its words in order."""

    id: int
    token_id: int
    start_time: float
    end_time: float
    script: str
    translation: str | None
    version: int
    words: Sequence[Word]


_TOKENS = sa.select(*(column for column in TOKENS.c if column.name != "url_id"), URLS.c.youtube_url).join_from(TOKENS, URLS)
_SHOWN_WORDS = sa.select(*(column for column in WORDS.c if column.name != "mfcc"))


async def actors(connection: AsyncConnection, page: Page) -> list[Actor]:
    """All actors, by id."""
    rows = await connection.execute(_part(sa.select(ACTORS.c.id, ACTORS.c.name).order_by(ACTORS.c.id), page))
    return [Actor(**row._mapping) for row in rows]


async def actors_called(connection: AsyncConnection, folded: str, limit: int) -> list[Actor]:
    """Actors with `folded` somewhere in their name or an alias; those who are called exactly so come first."""

    def called(test: Callable[[sa.Column[str]], sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
        by_alias = sa.select(ACTOR_ALIASES.c.actor_id).where(test(ACTOR_ALIASES.c.folded))
        return test(ACTORS.c.folded) | ACTORS.c.id.in_(by_alias)

    containing = called(lambda name: sa.func.strpos(name, folded) > 0)
    exactly = called(lambda name: name == folded)
    found = sa.select(ACTORS.c.id, ACTORS.c.name).where(containing).order_by(exactly.desc(), ACTORS.c.id).limit(limit)
    return [Actor(**row._mapping) for row in await connection.execute(found)]


async def tokens(connection: AsyncConnection, page: Page) -> list[Token]:
    """All scenes, by id."""
    return await _tokens(connection, _TOKENS.order_by(TOKENS.c.id), page)


async def latest_tokens(connection: AsyncConnection, page: Page) -> list[Token]:
    """All scenes, the newest first."""
    return await _tokens(connection, _TOKENS.order_by(TOKENS.c.id.desc()), page)


async def popular_tokens(connection: AsyncConnection, page: Page) -> list[Token]:
    """All scenes, the most viewed first."""
    return await _tokens(connection, _TOKENS.order_by(TOKENS.c.view_count.desc(), TOKENS.c.id), page)


async def short_tokens(connection: AsyncConnection, page: Page, *, below_seconds: float, shuffle: str) -> list[Token]:
    """Scenes shorter than `below_seconds`, in an order that looks random and is the same for the same `shuffle`."""
    short = _TOKENS.where(TOKENS.c.end_time - TOKENS.c.start_time < below_seconds)
    order = sa.func.md5(sa.func.concat(TOKENS.c.id, shuffle))
    return await _tokens(connection, short.order_by(order, TOKENS.c.id), page)


async def tokens_of_category(connection: AsyncConnection, category: str, page: Page) -> list[Token]:
    """Scenes with `category` somewhere in theirs, whatever the case, by id."""
    matching = _TOKENS.where(TOKENS.c.category.icontains(category, autoescape=True))
    return await _tokens(connection, matching.order_by(TOKENS.c.id), page)


async def tokens_of_actors(connection: AsyncConnection, actor_ids: Sequence[int], page: Page) -> list[Token]:
    """Scenes with any of these actors, by id."""
    linked = sa.select(TOKEN_ACTORS.c.token_id).where(TOKEN_ACTORS.c.actor_id.in_(actor_ids))
    return await _tokens(connection, _TOKENS.where(TOKENS.c.id.in_(linked)).order_by(TOKENS.c.id), page)


async def related_tokens(connection: AsyncConnection, token_id: int, page: Page) -> list[Token]:
    """Other scenes with an actor of this one, the most viewed first."""
    actors_here = sa.select(TOKEN_ACTORS.c.actor_id).where(TOKEN_ACTORS.c.token_id == token_id)
    linked = sa.select(TOKEN_ACTORS.c.token_id).where(TOKEN_ACTORS.c.actor_id.in_(actors_here))
    others = _TOKENS.where(TOKENS.c.id.in_(linked), TOKENS.c.id != token_id)
    return await _tokens(connection, others.order_by(TOKENS.c.view_count.desc(), TOKENS.c.id), page)


async def tokens_of_pairs(connection: AsyncConnection) -> list[Token]:
    """The scenes of all films that have exactly two, by film in the order of its first scene, then by id."""
    first = sa.func.min(TOKENS.c.id).label("first")
    pairs = sa.select(TOKENS.c.url_id, first).group_by(TOKENS.c.url_id).having(sa.func.count() == 2).subquery()
    found = _TOKENS.join(pairs, pairs.c.url_id == TOKENS.c.url_id).order_by(pairs.c.first, TOKENS.c.id)
    return [Token(**row._mapping) for row in await connection.execute(found)]


async def tokens_of_url(connection: AsyncConnection, url_id: int) -> list[Token]:
    """Scenes cut from one film, by id."""
    rows = await connection.execute(_TOKENS.where(TOKENS.c.url_id == url_id).order_by(TOKENS.c.id))
    return [Token(**row._mapping) for row in rows]


async def token(connection: AsyncConnection, token_id: int) -> Token | None:
    """One scene."""
    row = (await connection.execute(_TOKENS.where(TOKENS.c.id == token_id))).first()
    return Token(**row._mapping) if row else None


async def tokens_by_id(connection: AsyncConnection, token_ids: Sequence[int]) -> list[Token]:
    """These scenes, by id."""
    wanted = _TOKENS.where(TOKENS.c.id == sa.func.any(sa.cast(token_ids, sa.ARRAY(sa.Integer)))).order_by(TOKENS.c.id)
    return [Token(**row._mapping) for row in await connection.execute(wanted)]


async def script_ids_of_token(connection: AsyncConnection, token_id: int) -> list[int]:
    """The ids of a scene's lines."""
    wanted = sa.select(SCRIPTS.c.id).where(SCRIPTS.c.token_id == token_id).order_by(SCRIPTS.c.id)
    return list((await connection.execute(wanted)).scalars())


async def next_version(connection: AsyncConnection, versions: sa.Sequence) -> int:
    """A version that is higher than any before."""
    version: int = (await connection.execute(sa.select(versions.next_value()))).scalar_one()
    return version


async def has_actor(connection: AsyncConnection, token_id: int) -> bool:
    """Whether the scene is linked to an actor."""
    linked = sa.select(sa.exists().where(TOKEN_ACTORS.c.token_id == token_id))
    return bool((await connection.execute(linked)).scalar_one())


async def count_view(connection: AsyncConnection, token_id: int) -> int | None:
    """One view more; how many it are now, or None when there is no such scene."""
    counted = sa.update(TOKENS).where(TOKENS.c.id == token_id).values(view_count=TOKENS.c.view_count + 1)
    views: int | None = (await connection.execute(counted.returning(TOKENS.c.view_count))).scalar()
    return views


async def url_id(connection: AsyncConnection, youtube_url: str) -> int | None:
    """The id of the film at exactly this address."""
    found: int | None = (await connection.execute(sa.select(URLS.c.id).where(URLS.c.youtube_url == youtube_url))).scalar()
    return found


async def scripts(connection: AsyncConnection, page: Page) -> list[Script]:
    """All lines, by id."""
    return await _scripts(connection, _part(sa.select(SCRIPTS).order_by(SCRIPTS.c.id), page))


async def scripts_of_token(connection: AsyncConnection, token_id: int, page: Page | None = None) -> list[Script]:
    """The lines of a scene, in the order in which they are spoken."""
    lines = sa.select(SCRIPTS).where(SCRIPTS.c.token_id == token_id).order_by(SCRIPTS.c.start_time, SCRIPTS.c.id)
    return await _scripts(connection, lines if page is None else _part(lines, page))


async def script(connection: AsyncConnection, script_id: int) -> Script | None:
    """One line."""
    found = await _scripts(connection, sa.select(SCRIPTS).where(SCRIPTS.c.id == script_id))
    return found[0] if found else None


async def scripts_with_mfcc(connection: AsyncConnection, script_ids: Sequence[int]) -> list[Script]:
    """These lines as an analysis needs them, by id."""
    wanted = sa.select(SCRIPTS).where(SCRIPTS.c.id == sa.func.any(sa.cast(script_ids, sa.ARRAY(sa.Integer))))
    return await _scripts(connection, wanted.order_by(SCRIPTS.c.id), sa.select(WORDS))


def _part(statement: sa.Select[Any], page: Page) -> sa.Select[Any]:
    return statement.offset(page.skip).limit(page.limit)


async def _tokens(connection: AsyncConnection, statement: sa.Select[Any], page: Page) -> list[Token]:
    return [Token(**row._mapping) for row in await connection.execute(_part(statement, page))]


async def _scripts(connection: AsyncConnection, lines: sa.Select[Any], words: sa.Select[Any] = _SHOWN_WORDS) -> list[Script]:
    found = (await connection.execute(lines)).all()
    if not found:
        return []
    ids = [row.id for row in found]
    of_these = words.where(WORDS.c.script_id == sa.func.any(sa.cast(ids, sa.ARRAY(sa.Integer)))).order_by(WORDS.c.id)
    by_script: dict[int, list[Word]] = {}
    for row in await connection.execute(of_these):
        by_script.setdefault(row.script_id, []).append(Word(**row._mapping))
    return [Script(**row._mapping, words=by_script.get(row.id, [])) for row in found]

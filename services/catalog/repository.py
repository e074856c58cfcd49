"""The SQL of single scenes and lines. Lists, the search and changes have repositories of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.models import SCRIPTS, TOKEN_ACTORS, TOKENS, URLS, WORDS


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


TOKENS_SHOWN = sa.select(*(column for column in TOKENS.c if column.name != "url_id"), URLS.c.youtube_url).join_from(
    TOKENS, URLS
)
_SHOWN_WORDS = sa.select(*(column for column in WORDS.c if column.name != "mfcc"))


async def tokens_of_url(connection: AsyncConnection, url_id: int) -> list[Token]:
    """Scenes cut from one film, by id."""
    rows = await connection.execute(TOKENS_SHOWN.where(TOKENS.c.url_id == url_id).order_by(TOKENS.c.id))
    return [Token(**row._mapping) for row in rows]


async def token(connection: AsyncConnection, token_id: int) -> Token | None:
    """One scene."""
    row = (await connection.execute(TOKENS_SHOWN.where(TOKENS.c.id == token_id))).first()
    return Token(**row._mapping) if row else None


async def tokens_by_id(connection: AsyncConnection, token_ids: Sequence[int]) -> list[Token]:
    """These scenes, by id."""
    wanted = TOKENS_SHOWN.where(TOKENS.c.id == sa.func.any(sa.cast(token_ids, sa.ARRAY(sa.Integer)))).order_by(TOKENS.c.id)
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


async def add_views(connection: AsyncConnection, token_id: int, how_many: int) -> int | None:
    """So many views more; how many they are now, or None when there is no such scene."""
    counted = sa.update(TOKENS).where(TOKENS.c.id == token_id).values(view_count=TOKENS.c.view_count + how_many)
    views: int | None = (await connection.execute(counted.returning(TOKENS.c.view_count))).scalar()
    return views


async def url_id(connection: AsyncConnection, youtube_url: str) -> int | None:
    """The id of the film at exactly this address."""
    found: int | None = (await connection.execute(sa.select(URLS.c.id).where(URLS.c.youtube_url == youtube_url))).scalar()
    return found


async def scripts_of_token(connection: AsyncConnection, token_id: int) -> list[Script]:
    """The lines of a scene, in the order in which they are spoken."""
    spoken = (SCRIPTS.c.start_time, SCRIPTS.c.id)
    return await read_scripts(connection, sa.select(SCRIPTS).where(SCRIPTS.c.token_id == token_id).order_by(*spoken))


async def script(connection: AsyncConnection, script_id: int) -> Script | None:
    """One line."""
    found = await read_scripts(connection, sa.select(SCRIPTS).where(SCRIPTS.c.id == script_id))
    return found[0] if found else None


async def scripts_with_mfcc(connection: AsyncConnection, script_ids: Sequence[int]) -> list[Script]:
    """These lines as an analysis needs them, by id."""
    wanted = sa.select(SCRIPTS).where(SCRIPTS.c.id == sa.func.any(sa.cast(script_ids, sa.ARRAY(sa.Integer))))
    return await read_scripts(connection, wanted.order_by(SCRIPTS.c.id), sa.select(WORDS))


async def read_scripts(
    connection: AsyncConnection, lines: sa.Select[Any], words: sa.Select[Any] = _SHOWN_WORDS
) -> list[Script]:
    """The lines that a statement on `SCRIPTS` gives, in its order, with their words."""
    found = (await connection.execute(lines)).all()
    if not found:
        return []
    ids = [row.id for row in found]
    of_these = words.where(WORDS.c.script_id == sa.func.any(sa.cast(ids, sa.ARRAY(sa.Integer)))).order_by(WORDS.c.id)
    by_script: dict[int, list[Word]] = {}
    for row in await connection.execute(of_these):
        by_script.setdefault(row.script_id, []).append(Word(**row._mapping))
    return [Script(**row._mapping, words=by_script.get(row.id, [])) for row in found]

"""The SQL of the export: every kind in the order in which a document has them, in batches, by id."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog import import_repository, repository
from services.catalog.models import ACTOR_ALIASES, ACTORS, SCRIPTS, TOKEN_ACTORS, TOKENS, URLS, WORDS

BATCH = 200

_SCENE = (
    *("id", "token_name", "actor_name", "category", "start_time", "end_time", "s3_textgrid_url", "s3_pitch_url"),
    *("s3_bgvoice_url", "thumbnail_url", "youtube_url", "view_count"),
)
_LINE = ("id", "token_id", "start_time", "end_time", "script", "translation")
_WORD = ("id", "script_id", "start_time", "end_time", "word", "probability", "mfcc")

Entry = dict[str, Any]
Batches = AsyncIterator[list[Entry]]


async def actors(connection: AsyncConnection) -> Batches:
    """With their aliases."""
    async for rows in _rows(connection, sa.select(ACTORS.c.id, ACTORS.c.name).order_by(ACTORS.c.id)):
        entries = {row["id"]: {**row, "aliases": []} for row in rows}
        for alias in await import_repository.rows(connection, ACTOR_ALIASES.c.actor_id, entries):
            entries[alias["actor_id"]]["aliases"].append({"id": alias["id"], "name": alias["name"]})
        yield list(entries.values())


async def tokens(connection: AsyncConnection) -> Batches:
    """With the addresses of their films and their views."""
    async for rows in _rows(connection, sa.select(TOKENS.c.id).order_by(TOKENS.c.id)):
        found = await repository.tokens_by_id(connection, [row["id"] for row in rows])
        yield [{name: getattr(token, name) for name in _SCENE} for token in found]


def _all(*columns: sa.Column[Any]) -> Callable[[AsyncConnection], Batches]:
    return lambda connection: _rows(connection, sa.select(*columns).order_by(*columns[0].table.primary_key))


async def _rows(connection: AsyncConnection, statement: sa.Select[Any]) -> Batches:
    async with connection.stream(statement, execution_options={"yield_per": BATCH}) as found:
        async for rows in found.partitions():
            yield [dict(row._mapping) for row in rows]


KINDS: dict[str, Callable[[AsyncConnection], Batches]] = {
    "urls": _all(URLS.c.id, URLS.c.youtube_url),
    "actors": actors,
    "tokens": tokens,
    "token_actors": _all(TOKEN_ACTORS.c.token_id, TOKEN_ACTORS.c.actor_id),
    "scripts": _all(*(SCRIPTS.c[name] for name in _LINE)),
    "words": _all(*(WORDS.c[name] for name in _WORD)),
}

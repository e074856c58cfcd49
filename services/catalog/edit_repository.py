"""The SQL of single changes. A row is locked before it is read for a change, so that its versions grow with its commits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as insert_unless_there
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.import_repository import Row
from services.catalog.models import ACTOR_ALIASES, ACTORS, TOKEN_ACTORS, TOKENS, URLS, WORDS

ACTORS_LOCK = 0x6163746F7273  # "actors"; any constant that no other user of this database takes


async def lock(connection: AsyncConnection, table: sa.Table, row_id: int, *, delete: bool = False) -> Row | None:
    """One row as it is after every change before ours; None when there is none. Rows may refer to it unless it is to go."""
    wanted = sa.select(table).where(table.c.id == row_id).with_for_update(key_share=not delete)
    row = (await connection.execute(wanted)).first()
    return dict(row._mapping) if row else None


async def hold_token(connection: AsyncConnection, token_id: int) -> bool:
    """Whether there is such a scene, which then stays until the end of the transaction."""
    wanted = sa.select(TOKENS.c.id).where(TOKENS.c.id == token_id).with_for_update(read=True, key_share=True)
    return (await connection.execute(wanted)).first() is not None


async def lock_actors(connection: AsyncConnection) -> None:
    """Be the only one who looks for actors and adds the missing, until the end of the transaction."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ACTORS_LOCK)))


async def actor_called(connection: AsyncConnection, folded: str) -> int | None:
    """Who has this name, the oldest if it is several."""
    found = sa.select(sa.func.min(ACTORS.c.id)).where(ACTORS.c.folded == folded)
    actor_id: int | None = (await connection.execute(found)).scalar()
    return actor_id


async def actor_known_as(connection: AsyncConnection, folded: str) -> int | None:
    """Who has this name, else who has this alias; the oldest if it is several."""
    by_alias = sa.select(sa.func.min(ACTOR_ALIASES.c.actor_id)).where(ACTOR_ALIASES.c.folded == folded)
    actor_id = await actor_called(connection, folded)
    if actor_id is None:
        actor_id = (await connection.execute(by_alias)).scalar()
    return actor_id


async def film(connection: AsyncConnection, youtube_url: str) -> int:
    """The id of the film at this address, which is known from then on."""
    new = insert_unless_there(URLS).values(youtube_url=youtube_url).on_conflict_do_nothing()
    await connection.execute(new)
    found: int = (await connection.execute(sa.select(URLS.c.id).where(URLS.c.youtube_url == youtube_url))).scalar_one()
    return found


async def insert(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> int:
    """A new row; its id."""
    new_id: int = (await connection.execute(sa.insert(table).values(**row).returning(table.c.id))).scalar_one()
    return new_id


async def update(connection: AsyncConnection, table: sa.Table, row_id: int, changed: Mapping[str, Any]) -> None:
    """Set columns of a row."""
    await connection.execute(sa.update(table).where(table.c.id == row_id).values(**changed))


async def delete(connection: AsyncConnection, table: sa.Table, row_id: int) -> None:
    """Delete a row and what belongs to it."""
    await connection.execute(sa.delete(table).where(table.c.id == row_id))


async def link(connection: AsyncConnection, token_id: int, actor_id: int) -> None:
    """Let an actor speak in a scene."""
    there = sa.exists().where(TOKEN_ACTORS.c.token_id == token_id, TOKEN_ACTORS.c.actor_id == actor_id)
    new = sa.select(sa.literal(token_id), sa.literal(actor_id)).where(~there)
    await connection.execute(sa.insert(TOKEN_ACTORS).from_select(["token_id", "actor_id"], new))


async def unlink(connection: AsyncConnection, token_id: int, actor_id: int) -> None:
    """Let an actor not speak in a scene any more."""
    here = sa.delete(TOKEN_ACTORS).where(TOKEN_ACTORS.c.token_id == token_id, TOKEN_ACTORS.c.actor_id == actor_id)
    await connection.execute(here)


async def words(connection: AsyncConnection, script_id: int) -> list[Row]:
    """The words of a line with their features, in order."""
    found = await connection.execute(sa.select(WORDS).where(WORDS.c.script_id == script_id).order_by(WORDS.c.id))
    return [dict(row._mapping) for row in found]


async def replace_words(connection: AsyncConnection, script_id: int, ids: Iterable[int], new: Sequence[Row]) -> None:
    """All words of a line. They keep the `ids` of those before them as far as these reach: ids are their order."""
    await connection.execute(sa.delete(WORDS).where(WORDS.c.script_id == script_id))
    kept = sorted(ids)[: len(new)]
    fresh = await _fresh_word_ids(connection, len(new) - len(kept))
    rows = [{**word, "id": i, "script_id": script_id} for i, word in zip([*kept, *fresh], new, strict=True)]
    if rows:
        await connection.execute(sa.insert(WORDS), rows)


async def _fresh_word_ids(connection: AsyncConnection, how_many: int) -> list[int]:
    if not how_many:
        return []
    ids = sa.func.nextval(sa.func.pg_get_serial_sequence(WORDS.name, "id"))
    drawn = await connection.execute(sa.select(ids).select_from(sa.func.generate_series(1, how_many).alias()))
    return sorted(drawn.scalars())

"""Who speaks in a scene, by the name that is written over it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog import edit_repository as sql
from services.catalog.folding import fold
from services.catalog.models import ACTORS


async def add(connection: AsyncConnection, name: str) -> int:
    """The id of somebody new."""
    return await sql.insert(connection, ACTORS, {"name": name, "folded": fold(name)})


async def recast(connection: AsyncConnection, token_id: int, old: str | None, new: str) -> bool:
    """A scene has another name written over it: who had the `old` one does not speak there any more, others stay.

    Who does is who is called `new`, else who has it as an alias, else somebody new: then the answer is True.
    """
    await sql.lock_actors(connection)
    known = await sql.actor_known_as(connection, fold(new))
    before = await sql.actor_known_as(connection, fold(old)) if old is not None else None
    now = known if known is not None else await add(connection, new)
    if before is not None and before != now:
        await sql.unlink(connection, token_id, before)
    await sql.link(connection, token_id, now)
    return known is None

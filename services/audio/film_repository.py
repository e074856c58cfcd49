"""The SQL about films, on the connection of the caller's transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.audio.models import FILMS, JOBS


@dataclass(frozen=True, slots=True)
class Film:
    """What scenes are to be made of: one actor in one film."""

    youtube_url: str  # https://www.youtube.com/watch?v=<id>
    movie_name: str
    actor_name: str


_COLUMNS = (FILMS.c.youtube_url, FILMS.c.movie_name, FILMS.c.actor_name)
_FILMS_OF = (
    sa.select(JOBS.c.id, *_COLUMNS)
    .select_from(JOBS.join(FILMS))
    .where(JOBS.c.id == sa.func.any(sa.bindparam("job_ids", type_=sa.ARRAY(sa.Text))))
)


async def keep_film(connection: AsyncConnection, film: Film, *, new_id: UUID, now: datetime) -> UUID:
    """The id of the film, which is `new_id` if it was never asked for before."""
    values = {"youtube_url": film.youtube_url, "movie_name": film.movie_name, "actor_name": film.actor_name}
    kept = await connection.execute(
        insert(FILMS)
        .values(id=new_id, created_at=now, **values)
        # Writes what is there: a row that is left alone is not returned.
        .on_conflict_do_update(constraint="films_key", set_={"youtube_url": film.youtube_url})
        .returning(FILMS.c.id)
    )
    film_id: UUID = kept.scalar_one()
    return film_id


async def films_of(connection: AsyncConnection, job_ids: Collection[str]) -> dict[str, Film]:
    """The films of those of the jobs that are about one."""
    rows = await connection.execute(_FILMS_OF, {"job_ids": list(job_ids)})
    return {row.id: Film(row.youtube_url, row.movie_name, row.actor_name) for row in rows}

"""The SQL of the search for actors. Names are compared folded; an actor's name counts as much as each alias."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.models import ACTOR_ALIASES, ACTORS
from services.catalog.repository import Actor

MIN_SIMILARITY = 0.25  # of trigrams, 0..1: the old service's; "tom hardi" and "tom hardy" have 0.54
_LAST = "\U0010ffff"  # sorts after every character of a name

_Name: TypeAlias = sa.Column[str]
_Rank: TypeAlias = Callable[[_Name], sa.ColumnElement[Any]]
_Test: TypeAlias = Callable[[_Name], sa.ColumnElement[bool]]


async def called(connection: AsyncConnection, beginning: str, limit: int) -> list[Actor]:
    """Actors with a name that begins so, in the order of these names: hence who is called exactly so comes first."""

    def begins(name: _Name) -> sa.ColumnElement[bool]:
        return name.op("~>=~", is_comparison=True)(beginning) & name.op("~<~", is_comparison=True)(beginning + _LAST)

    return await _found(connection, begins, lambda name: sa.func.min(name.collate("C")), (), limit)


async def containing(connection: AsyncConnection, text: str, but: Sequence[int], limit: int) -> list[Actor]:
    """Actors with `text` somewhere in a name, by id."""

    def contains(name: _Name) -> sa.ColumnElement[bool]:
        return _pieces(name).contains(_pieces_of(text)) & (sa.func.strpos(name, text) > 0)

    return await _found(connection, contains, lambda _: sa.literal(0, sa.Integer), but, limit)


async def by_initials(connection: AsyncConnection, initials: str, limit: int) -> list[Actor]:
    """Actors whose syllables begin with these consonants, from the first syllable on before others, by id."""

    def contains(name: _Name) -> sa.ColumnElement[bool]:
        return _pieces(_initials(name)).contains(_pieces_of(initials)) & (sa.func.strpos(_initials(name), initials) > 0)

    def rank(name: _Name) -> sa.ColumnElement[int]:
        return sa.func.min(sa.case((_initials(name) == initials, 0), (_initials(name).startswith(initials), 1), else_=2))

    return await _found(connection, contains, rank, (), limit)


async def alike(connection: AsyncConnection, text: str, but: Sequence[int], limit: int) -> list[Actor]:
    """Actors with a name like `text`, the most alike first."""
    # What `%` compares with during this statement. PostgreSQL looks at a condition without columns once, before it scans.
    bound = sa.func.set_config("pg_trgm.similarity_threshold", str(MIN_SIMILARITY), sa.true())
    bounded = sa.select(bound).scalar_subquery() != ""

    def is_like(name: _Name) -> sa.ColumnElement[bool]:
        return bounded & name.bool_op("%")(text) & (sa.func.similarity(name, text) > MIN_SIMILARITY)

    return await _found(connection, is_like, lambda name: -sa.func.max(sa.func.similarity(name, text)), but, limit)


def _pieces(name: sa.ColumnElement[str]) -> sa.ColumnElement[list[str]]:
    return sa.func.name_pieces(name, type_=ARRAY(sa.Text))


def _pieces_of(text: str) -> list[str]:
    """What a name with `text` in it has among its pieces: its pairs of letters, or the only one that it has."""
    return [text] if len(text) == 1 else sorted({text[at : at + 2] for at in range(len(text) - 1)})


def _initials(name: _Name) -> sa.ColumnElement[str]:
    return sa.func.initial_consonants(name, type_=sa.Text)


async def _found(connection: AsyncConnection, test: _Test, rank: _Rank, but: Sequence[int], limit: int) -> list[Actor]:
    """Actors of whom a name passes `test`, by the best `rank` of these names, then by id."""
    names = sa.union_all(
        *(
            sa.select(actor_id.label("id"), rank(name).label("rank")).where(test(name)).group_by(actor_id)
            for actor_id, name in ((ACTORS.c.id, ACTORS.c.folded), (ACTOR_ALIASES.c.actor_id, ACTOR_ALIASES.c.folded))
        )
    ).subquery()
    best = sa.select(names.c.id, sa.func.min(names.c.rank).label("rank")).group_by(names.c.id)
    if but:
        best = best.where(names.c.id != sa.all_(sa.cast(but, sa.ARRAY(sa.Integer))))
    first = best.order_by(sa.text("rank"), names.c.id).limit(limit).subquery()
    actors = sa.select(ACTORS.c.id, ACTORS.c.name).join(first, first.c.id == ACTORS.c.id).order_by(first.c.rank, ACTORS.c.id)
    return [Actor(**row._mapping) for row in await connection.execute(actors)]

"""The SQL of lists. Each follows an index in an order that nothing shakes, so a page costs what it shows, wherever it is."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.models import ACTORS, IS_SHORT, SCRIPTS, TOKEN_ACTORS, TOKENS, URLS
from services.catalog.paging import Part
from services.catalog.repository import TOKENS_SHOWN, Actor, Script, Token, read_scripts

_Select: TypeAlias = sa.Select[Any]

# In the order of this the short scenes look shuffled.
_MIX = sa.literal_column("md5(tokens.id::text)", sa.Text)
_PAIRS = sa.text("urls.scenes = 2")
_MOST_VIEWED = (TOKENS.c.view_count.desc(), TOKENS.c.id.desc())


async def actors(connection: AsyncConnection, part: Part) -> list[Actor]:
    """All actors, by id."""
    rows = await connection.execute(_by_id(sa.select(ACTORS.c.id, ACTORS.c.name), ACTORS.c.id, part))
    return [Actor(**row._mapping) for row in rows]


async def tokens(connection: AsyncConnection, part: Part) -> list[Token]:
    """All scenes, by id."""
    return await _tokens(connection, _shown(_by_id(sa.select(TOKENS.c.id), TOKENS.c.id, part)).order_by(TOKENS.c.id))


async def latest_tokens(connection: AsyncConnection, part: Part) -> list[Token]:
    """All scenes, the newest first."""
    newest = TOKENS.c.id.desc()
    ids = _cut(sa.select(TOKENS.c.id).order_by(newest), part)
    return await _tokens(
        connection, _shown(ids if part.after is None else ids.where(TOKENS.c.id < part.after[0])).order_by(newest)
    )


async def popular_tokens(connection: AsyncConnection, part: Part) -> list[Token]:
    """All scenes, the most viewed first, of equals the newest."""
    return await _tokens(connection, _shown(_by_views(sa.select(TOKENS.c.id), part)).order_by(*_MOST_VIEWED))


async def short_tokens(connection: AsyncConnection, part: Part, *, start: str) -> list[Token]:
    """Scenes below 20 seconds in the order of `_MIX`, from `start` on and around. `part.after` is (start, lap, mix, id)."""
    begin, lap, mix, last_id = part.after or (start, 0, None, None)
    halves = []
    for number, where in enumerate((begin <= _MIX, begin > _MIX)):
        half = sa.select(TOKENS.c.id, _MIX.label("mix"), sa.literal(number, sa.Integer).label("lap")).where(IS_SHORT, where)
        if number < lap:
            continue
        if number == lap and mix is not None:
            half = half.where(sa.tuple_(_MIX, TOKENS.c.id) > sa.tuple_(sa.literal(mix), sa.literal(last_id)))
        halves.append(half.order_by(_MIX, TOKENS.c.id).limit(part.skip + part.limit))
    around = sa.union_all(*(half.subquery().select() for half in halves)).subquery()
    wanted = sa.select(around).order_by(around.c.lap, around.c.mix, around.c.id).offset(part.skip).limit(part.limit).subquery()
    shown = TOKENS_SHOWN.join(wanted, wanted.c.id == TOKENS.c.id).order_by(wanted.c.lap, wanted.c.mix, wanted.c.id)
    return await _tokens(connection, shown)


async def categories(connection: AsyncConnection) -> list[str]:
    """All categories that there are, by leaps over the index: costs as many steps as there are categories."""
    least = sa.func.min(TOKENS.c.category)
    steps = sa.select(least.label("category")).cte("steps", recursive=True)
    following = sa.select(least).where(TOKENS.c.category > steps.c.category).scalar_subquery()
    steps = steps.union_all(sa.select(following).where(steps.c.category.is_not(None)))
    found = await connection.execute(sa.select(steps.c.category).where(steps.c.category.is_not(None)))
    return list(found.scalars())


async def tokens_of_categories(connection: AsyncConnection, named: Sequence[str], part: Part) -> list[Token]:
    """Scenes of any of these categories, by id."""
    category = sa.func.unnest(sa.cast(named, sa.ARRAY(sa.Text))).table_valued("category").render_derived(name="named")
    here = sa.select(TOKENS.c.id).where(TOKENS.c.category == category.c.category)
    return await _tokens(connection, _of_any(category, here, TOKENS.c.id, part))


async def tokens_of_actors(connection: AsyncConnection, actor_ids: Sequence[int], part: Part) -> list[Token]:
    """Scenes with any of these actors, by id."""
    actor = sa.func.unnest(sa.cast(actor_ids, sa.ARRAY(sa.Integer))).table_valued("actor_id").render_derived(name="actor")
    here = sa.select(TOKEN_ACTORS.c.token_id.label("id")).where(TOKEN_ACTORS.c.actor_id == actor.c.actor_id)
    return await _tokens(connection, _of_any(actor, here, TOKEN_ACTORS.c.token_id, part))


async def related_tokens(connection: AsyncConnection, token_id: int, part: Part) -> list[Token]:
    """Other scenes with an actor of this one, the most viewed first. Costs what these actors have of scenes."""
    actors_here = sa.select(TOKEN_ACTORS.c.actor_id).where(TOKEN_ACTORS.c.token_id == token_id)
    linked = sa.select(TOKEN_ACTORS.c.token_id).where(TOKEN_ACTORS.c.actor_id.in_(actors_here))
    others = sa.select(TOKENS.c.id).where(TOKENS.c.id.in_(linked), TOKENS.c.id != token_id)
    return await _tokens(connection, _shown(_by_views(others, part)).order_by(*_MOST_VIEWED))


async def pairs(connection: AsyncConnection, part: Part) -> list[tuple[int, Token, Token]]:
    """The films with exactly two scenes: the film's id and both, by id."""
    films = _by_id(sa.select(URLS.c.id).where(_PAIRS), URLS.c.id, part).subquery()
    scenes = TOKENS_SHOWN.add_columns(URLS.c.id.label("film_id")).where(URLS.c.id.in_(sa.select(films.c.id)))
    rows = (await connection.execute(scenes.order_by(URLS.c.id, TOKENS.c.id))).mappings().all()
    found = [(row["film_id"], Token(**{name: row[name] for name in row if name != "film_id"})) for row in rows]
    return [(film_id, first, second) for (film_id, first), (_, second) in zip(found[::2], found[1::2], strict=True)]


async def scripts(connection: AsyncConnection, part: Part) -> list[Script]:
    """All lines, by id."""
    return await read_scripts(connection, _by_id(sa.select(SCRIPTS), SCRIPTS.c.id, part))


async def scripts_of_token(connection: AsyncConnection, token_id: int, part: Part) -> list[Script]:
    """The lines of a scene, in the order in which they are spoken. `part.after` is (start_time, id)."""
    spoken = (SCRIPTS.c.start_time, SCRIPTS.c.id)
    lines = sa.select(SCRIPTS).where(SCRIPTS.c.token_id == token_id).order_by(*spoken)
    if part.after is not None:
        lines = lines.where(sa.tuple_(*spoken) > sa.tuple_(*map(sa.literal, part.after)))
    return await read_scripts(connection, _cut(lines, part))


async def _tokens(connection: AsyncConnection, statement: _Select) -> list[Token]:
    return [Token(**row._mapping) for row in await connection.execute(statement)]


def _shown(ids: _Select) -> _Select:
    """The scenes of these ids: what is skipped on the way to them is not looked up."""
    wanted = ids.subquery()
    return TOKENS_SHOWN.join(wanted, wanted.c.id == TOKENS.c.id)


def _cut(statement: _Select, part: Part) -> _Select:
    return statement.offset(part.skip).limit(part.limit)


def _by_id(statement: _Select, column: sa.ColumnElement[int], part: Part) -> _Select:
    behind = statement if part.after is None else statement.where(column > part.after[0])
    return _cut(behind.order_by(column), part)


def _by_views(statement: _Select, part: Part) -> _Select:
    views = (TOKENS.c.view_count, TOKENS.c.id)
    if part.after is not None:
        statement = statement.where(sa.tuple_(*views) < sa.tuple_(*map(sa.literal, part.after)))
    return _cut(statement.order_by(*_MOST_VIEWED), part)


def _of_any(each: sa.FromClause, here: _Select, column: sa.ColumnElement[int], part: Part) -> _Select:
    """Scenes of any of `each`, by id: from the index of each no more than the page needs, then the first of all of them."""
    if part.after is not None:
        here = here.where(column > part.after[0])
    first = here.order_by(column).limit(part.skip + part.limit).lateral()
    ids = sa.select(first.c.id).distinct().select_from(sa.join(each, first, sa.true())).order_by(first.c.id)
    return _shown(_cut(ids, part)).order_by(TOKENS.c.id)

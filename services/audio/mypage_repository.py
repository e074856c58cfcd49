"""The SQL of what somebody has recorded and which results came of it. Nothing of it reads more than that user's own rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.audio import JobKind
from services.audio.models import JOBS, SCRIPTS, TAKES, TOKENS


@dataclass(frozen=True, slots=True)
class DubbedToken:
    """A scene that somebody recorded lines of. Names are those of our copy, empty or None as long as it has none."""

    token_id: int
    token_name: str
    actor_name: str
    category: str | None
    youtube_url: str | None
    last_dubbed_at: datetime
    total_scripts: int
    completed_scripts: int
    is_described: bool  # our copy has all that is shown of the scene, or never will


@dataclass(frozen=True, slots=True)
class SpokenText:
    """A line, or the whole scene, and the newest result that somebody has for a recording of it."""

    script_id: int | None  # None: the whole scene in one recording
    text: str
    job_id: str | None  # None: no result
    created_at: datetime | None
    result: Any  # whatever a server posted
    score: float | None  # 0..1


@dataclass(frozen=True, slots=True)
class Totals:
    """How much somebody practised. `mean_score` is 0..1, None without a result that has a score."""

    tokens: int
    takes: int
    mean_score: float | None


_USER: sa.BindParameter[int] = sa.bindparam("user_id", type_=sa.Integer)
_TOKEN: sa.BindParameter[int] = sa.bindparam("token_id", type_=sa.Integer)
# As in `repository`: a line that is gone is no part of its scene, but those of a scene that is gone itself are.
_IN_SCENE = ~SCRIPTS.c.deleted | TOKENS.c.deleted
# A literal, because PostgreSQL has to see that a partial index covers it.
_RESULTS = sa.and_(JOBS.c.user_id == _USER, JOBS.c.state == sa.literal_column("'completed'"))
_OF_WHOLE_SCENE = sa.and_(JOBS.c.script_id.is_(None), JOBS.c.kind == JobKind.TOKEN.value)


def _dubbed() -> sa.Select[Any]:
    last = sa.func.max(TAKES.c.created_at)
    page = (
        sa.select(TAKES.c.token_id, last.label("last_dubbed_at"))
        .where(TAKES.c.user_id == _USER)
        .group_by(TAKES.c.token_id)
        .order_by(last.desc(), TAKES.c.token_id.desc())
        .limit(sa.bindparam("limit", type_=sa.BigInteger))
        .offset(sa.bindparam("offset", type_=sa.BigInteger))
        .cte("page")
    )
    lines = sa.select(sa.func.count()).select_from(SCRIPTS).where(SCRIPTS.c.token_id == page.c.token_id, _IN_SCENE)
    results: sa.Select[Any] = sa.select(sa.literal_column("1")).where(_RESULTS, JOBS.c.token_id == page.c.token_id)
    total = lines.correlate(page, TOKENS).scalar_subquery()
    spoken = lines.where(results.where(JOBS.c.script_id == SCRIPTS.c.id).correlate(page, SCRIPTS).exists())
    whole = results.where(_OF_WHOLE_SCENE).correlate(page).exists()
    return (
        sa.select(
            *(page.c.token_id, page.c.last_dubbed_at),
            sa.func.coalesce(TOKENS.c.token_name, "").label("token_name"),
            sa.func.coalesce(TOKENS.c.actor_name, "").label("actor_name"),
            *(TOKENS.c.category, TOKENS.c.youtube_url),
            total.label("total_scripts"),
            sa.case((whole, total), else_=spoken.correlate(page, TOKENS).scalar_subquery()).label("completed_scripts"),
            sa.func.coalesce(TOKENS.c.deleted | TOKENS.c.youtube_url.is_not(None), sa.false()).label("is_described"),
        )
        .select_from(page.outerjoin(TOKENS, TOKENS.c.id == page.c.token_id))
        .order_by(page.c.last_dubbed_at.desc(), page.c.token_id.desc())
    )


def _spoken_lines() -> sa.Select[Any]:
    newest = (
        sa.select(JOBS.c.id, JOBS.c.created_at, JOBS.c.result, JOBS.c.score)
        .where(_RESULTS, JOBS.c.token_id == _TOKEN, JOBS.c.script_id == SCRIPTS.c.id)
        .order_by(JOBS.c.created_at.desc())
        .limit(1)
        .lateral("newest")
    )
    return (
        sa.select(
            SCRIPTS.c.id.label("script_id"),
            SCRIPTS.c.script.label("text"),
            newest.c.id.label("job_id"),
            *(newest.c.created_at, newest.c.result, newest.c.score),
        )
        .select_from(SCRIPTS.outerjoin(TOKENS, TOKENS.c.id == SCRIPTS.c.token_id).outerjoin(newest, sa.true()))
        .where(SCRIPTS.c.token_id == _TOKEN, _IN_SCENE)
        .order_by(SCRIPTS.c.start_time, SCRIPTS.c.id)
    )


DUBBED = _dubbed()
SPOKEN_LINES = _spoken_lines()
_WHOLE_SCENE = (
    sa.select(JOBS.c.id.label("job_id"), JOBS.c.created_at, JOBS.c.result, JOBS.c.score)
    .where(_RESULTS, JOBS.c.token_id == _TOKEN, _OF_WHOLE_SCENE)
    .order_by(JOBS.c.created_at.desc())
    .limit(1)
)
TOTALS = sa.select(
    sa.func.count(sa.distinct(TAKES.c.token_id)).label("tokens"),
    sa.func.count().label("takes"),
    sa.select(sa.func.avg(JOBS.c.score)).where(_RESULTS).scalar_subquery().label("mean_score"),
).where(TAKES.c.user_id == _USER)


async def dubbed_tokens(connection: AsyncConnection, user_id: int, *, limit: int, offset: int) -> list[DubbedToken]:
    """The scenes that the user recorded anything of, the one with the newest recording first.

    A line counts as completed when any recording of it has a result; all of them do when one of the whole scene has.
    """
    rows = await connection.execute(DUBBED, {"user_id": user_id, "limit": limit, "offset": offset})
    return [DubbedToken(**row._mapping) for row in rows]


async def spoken_texts(connection: AsyncConnection, user_id: int, token_id: int) -> list[SpokenText]:
    """The lines of the scene as they are spoken, each with the user's newest result of its own.

    Behind them the newest result of a recording of the whole scene, if there is one: it has words of all lines.
    """
    values = {"user_id": user_id, "token_id": token_id}
    lines = [SpokenText(**row._mapping) for row in await connection.execute(SPOKEN_LINES, values)]
    whole = (await connection.execute(_WHOLE_SCENE, values)).first()
    if whole is not None:
        text = " ".join(line.text for line in lines)
        lines.append(SpokenText(script_id=None, text=text, **whole._mapping))
    return lines


async def totals(connection: AsyncConnection, user_id: int) -> Totals:
    """Of all that the user recorded."""
    return Totals(**(await connection.execute(TOTALS, {"user_id": user_id})).mappings().one())

"""The SQL of our copies of scenes; that of lines is in `repository`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.catalog import TokenSnapshot
from services.audio.models import SCRIPTS, TOKENS


@dataclass(frozen=True, slots=True)
class KnownToken:
    """What an upload needs to know of a scene. `has_lines`: any of its lines is in our copies."""

    token_id: int
    deleted: bool
    s3_textgrid_url: str | None
    s3_pitch_url: str | None
    has_lines: bool


_FIND_TOKENS = sa.select(
    *(TOKENS.c.id, TOKENS.c.deleted, TOKENS.c.s3_textgrid_url, TOKENS.c.s3_pitch_url),
    sa.exists().where(SCRIPTS.c.token_id == TOKENS.c.id, ~SCRIPTS.c.deleted).label("has_lines"),
).where(TOKENS.c.id == sa.func.any(sa.bindparam("token_ids", type_=sa.ARRAY(sa.Integer))))


async def find_tokens(connection: AsyncConnection, token_ids: Collection[int]) -> dict[int, KnownToken]:
    """Those of the scenes that our copies have, by id."""
    rows = await connection.execute(_FIND_TOKENS, {"token_ids": list(token_ids)})
    return {row.id: KnownToken(row.id, row.deleted, row.s3_textgrid_url, row.s3_pitch_url, row.has_lines) for row in rows}


async def keep_token(connection: AsyncConnection, token: TokenSnapshot) -> None:
    """Insert or update the copy, unless it is newer, or complete and of the same version."""
    new = {**token.model_dump(exclude={"token_id"}), "deleted": False}
    await _upsert(connection, token.token_id, new, changed=new)


async def bury_token(connection: AsyncConnection, token_id: int, version: int) -> None:
    """Mark the copy as deleted and keep the rest; a tombstone is made when there is no copy."""
    nothing = {"token_name": "", "actor_name": "", "start_time": 0.0, "end_time": 0.0}
    tombstone = {"version": version, "deleted": True}
    await _upsert(connection, token_id, {**nothing, **tombstone}, changed=tombstone)


async def _upsert(connection: AsyncConnection, token_id: int, new: Mapping[str, Any], *, changed: Mapping[str, Any]) -> None:
    outdated = (TOKENS.c.version < new["version"]) | ((TOKENS.c.version == new["version"]) & TOKENS.c.youtube_url.is_(None))
    await connection.execute(
        insert(TOKENS)
        .values(id=token_id, **new)
        .on_conflict_do_update(index_elements=[TOKENS.c.id], set_=dict(changed), where=outdated)
    )

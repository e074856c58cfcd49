"""SQL of the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.acts import ActPerformed
from services.auth.models import ACTS

BATCH = 10_000  # rows forgotten at a time, so that no statement takes long


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """One row of the log. `times` is more than 1 for refusals, which are counted by the minute."""

    id: int
    at: datetime
    service: str
    act: str
    user_id: int | None
    account_id: int | None
    thing: str | None
    reason: str | None
    session_id: str | None
    network: str | None
    device: str | None
    request_id: str | None
    times: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts; whatever is None does not matter."""

    person: int | None = None  # what this account did, or what was done to it
    act: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  # older than the one with this id


async def add(connection: AsyncConnection, act: ActPerformed, *, service: str, times: int = 1) -> None:
    """Add to the log."""
    await connection.execute(sa.insert(ACTS).values(**act.model_dump(), service=service, times=times))


async def newest(connection: AsyncConnection, wanted: Wanted, *, limit: int) -> Sequence[RecordedAct]:
    """Up to `limit` rows, the newest first, in the order in which they were written."""
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.person is not None:
        conditions.append((ACTS.c.user_id == wanted.person) | (ACTS.c.account_id == wanted.person))
    if wanted.act is not None:
        conditions.append(ACTS.c.act == wanted.act)
    if wanted.since is not None:
        conditions.append(ACTS.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(ACTS.c.at < wanted.until)
    if wanted.before is not None:
        conditions.append(ACTS.c.id < wanted.before)
    rows = await connection.execute(sa.select(ACTS).where(*conditions).order_by(ACTS.c.id.desc()).limit(limit))
    return [RecordedAct(**row._mapping) for row in rows]


async def forget(connection: AsyncConnection, *, days: int) -> int:
    """Forget up to `BATCH` acts that are older; how many. By a function, for the service itself may delete nothing."""
    return int((await connection.execute(sa.select(sa.func.forget_acts(days, BATCH)))).scalar_one())

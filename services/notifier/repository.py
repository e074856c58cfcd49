"""All SQL of notifier. Each call is one statement, hence one transaction and one round trip: a learner waits for it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.notifier import ChannelHistory, Frame
from services.notifier.models import CHANNELS, FRAMES

SWEEP_BATCH = 1_000  # channels at a time, so that no sweep holds many rows locked


def _append_statement() -> sa.CompoundSelect[Any]:
    channel = sa.bindparam("channel", type_=sa.Text)
    version = sa.bindparam("version", type_=sa.BigInteger)
    final = sa.bindparam("final", type_=sa.Boolean)
    data = sa.bindparam("data", type_=sa.JSON)
    message_id = sa.bindparam("message_id", type_=UUID(as_uuid=False))
    opened = insert(CHANNELS).values(name=channel, last_sequence=1, last_version=version, final=final)
    advanced = (
        opened.on_conflict_do_update(
            index_elements=[CHANNELS.c.name],
            set_={
                "last_sequence": CHANNELS.c.last_sequence + 1,
                "last_version": opened.excluded.last_version,
                "final": opened.excluded.final,
                "updated_at": sa.func.now(),
            },
            where=sa.not_(CHANNELS.c.final) & (CHANNELS.c.last_version < opened.excluded.last_version),
        )
        .returning(CHANNELS.c.name, CHANNELS.c.last_sequence)
        .cte("advanced")
    )
    stored = (
        sa.insert(FRAMES)
        .from_select(
            ["channel", "sequence", "final", "data", "message_id"],
            sa.select(advanced.c.name, advanced.c.last_sequence, final, data, message_id),
        )
        .returning(FRAMES.c.sequence, FRAMES.c.final, FRAMES.c.data)
        .cte("stored")
    )
    # All parts of a statement see the tables as they were before it: the second half finds only what an earlier delivery
    # of the same message stored.
    before = sa.select(FRAMES.c.sequence, FRAMES.c.final, FRAMES.c.data).where(FRAMES.c.message_id == message_id)
    return sa.union_all(sa.select(stored), before)


_APPEND = _append_statement()


async def append(
    connection: AsyncConnection, channel: str, *, version: int, final: bool, data: dict[str, Any], message_id: str
) -> Frame | None:
    """Store `data` as the next frame of `channel` and return it; the stored frame again for a message seen before.

    None, and no frame, when the channel ended or already told of `version` or a later one.
    """
    values = {"channel": channel, "version": version, "final": final, "data": data, "message_id": message_id}
    row = (await connection.execute(_APPEND, values)).first()
    return row and Frame(channel=channel, sequence=row.sequence, final=row.final, data=row.data)


async def history(connection: AsyncConnection, channel: str, after: int) -> ChannelHistory:
    """The frames of `channel` with a sequence above `after`, and where the channel stands, seen at one moment."""
    found = (
        sa.select(CHANNELS.c.last_sequence, CHANNELS.c.final.label("ended"), FRAMES.c.sequence, FRAMES.c.final, FRAMES.c.data)
        .select_from(
            CHANNELS.outerjoin(FRAMES, (FRAMES.c.channel == CHANNELS.c.name) & (FRAMES.c.sequence > sa.bindparam("after")))
        )
        .where(CHANNELS.c.name == sa.bindparam("channel"))
        .order_by(FRAMES.c.sequence)
    )
    rows = (await connection.execute(found, {"channel": channel, "after": after})).all()
    if not rows:
        return ChannelHistory(channel=channel, last_sequence=0, frames=())
    frames = tuple(
        Frame(channel=channel, sequence=row.sequence, final=row.final, data=row.data)
        for row in rows
        if row.sequence is not None
    )
    return ChannelHistory(channel=channel, last_sequence=rows[0].last_sequence, final=rows[0].ended, frames=frames)


async def forget_older_than(connection: AsyncConnection, days: int) -> int:
    """Delete up to `SWEEP_BATCH` channels whose last frame is older than `days`, with their frames. Returns how many."""
    old = CHANNELS.c.updated_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    batch = sa.select(CHANNELS.c.name).where(old).limit(SWEEP_BATCH)
    return (await connection.execute(sa.delete(CHANNELS).where(CHANNELS.c.name.in_(batch)))).rowcount

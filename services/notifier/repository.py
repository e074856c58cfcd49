"""All SQL of notifier. Each call is one statement, hence one transaction and one round trip."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import inbox
from libs.common.bus.base import Message
from libs.common.contracts.notifier import ChannelHistory, Frame
from libs.common.statement import Rows, Statement
from services.notifier.models import FRAMES

SWEEP_BATCH = 1_000  # frames at a time, so that no sweep holds many rows locked

_CHANNEL = sa.bindparam("channel", type_=sa.Text)
_NEWEST = (
    sa.select(FRAMES.c.sequence, FRAMES.c.final)
    .where(FRAMES.c.channel == _CHANNEL)
    .order_by(FRAMES.c.sequence.desc())
    .limit(1)
    .subquery("newest")
)
_HISTORY = Statement(
    sa.select(
        _NEWEST.c.sequence.label("last"), _NEWEST.c.final.label("ended"), FRAMES.c.sequence, FRAMES.c.final, FRAMES.c.data
    )
    .select_from(_NEWEST.outerjoin(FRAMES, (FRAMES.c.channel == _CHANNEL) & (FRAMES.c.sequence > sa.bindparam("after"))))
    .order_by(FRAMES.c.sequence)
)
HANDLER = "notifier.frame"  # in the inbox
_FRAME = insert(FRAMES).values({c.name: sa.bindparam(c.name, type_=c.type) for c in FRAMES.c if c.name != "created_at"})
_STORED = _FRAME.on_conflict_do_nothing().returning(FRAMES.c.sequence).cte("stored")
_STORE = Statement(sa.select(sa.exists(sa.select(_STORED.c.sequence))).add_cte(inbox.NOTED.cte("noted")))


_LAST = sa.bindparam("sequence", type_=sa.Integer)
_NUMBER = sa.func.generate_series(1, _LAST).column_valued("number")
_EMPTIED = insert(FRAMES).from_select(
    ["channel", "sequence", "final", "data"],
    sa.select(_CHANNEL, _NUMBER, _NUMBER == _LAST, sa.bindparam("data", type_=sa.JSON)),
)
_ERASE = _EMPTIED.on_conflict_do_update(
    index_elements=[FRAMES.c.channel, FRAMES.c.sequence],
    set_={name: _EMPTIED.excluded[name] for name in ("final", "data")},
).add_cte(inbox.NOTED.cte("noted"))


async def erase(connection: AsyncConnection, frame: Frame, message: Message) -> None:
    """Put `frame` in the place of all frames of its channel, and note in the inbox that `message` said so.

    Also in the place of those that are still on their way: a late one finds its number taken.
    """
    await connection.execute(_ERASE, {**frame.model_dump(exclude={"final"}), **inbox.values_of(message, HANDLER)})


async def store(where: Rows, frame: Frame, message: Message) -> bool:
    """Keep `frame`, and note in the inbox that `message` said it; False when the frame was kept before."""
    columns = {"channel": frame.channel, "sequence": frame.sequence, "final": frame.final, "data": frame.data}
    [stored] = await where.rows(_STORE, {**columns, **inbox.values_of(message, HANDLER)})
    return bool(stored[0])


async def history(where: Rows, channel: str, after: int) -> ChannelHistory:
    """The frames of `channel` with a sequence above `after`, and where the channel stands, seen at one moment."""
    rows = await where.rows(_HISTORY, {"channel": channel, "after": after})
    if not rows:
        return ChannelHistory(channel=channel, last_sequence=0, frames=())
    frames = tuple(
        Frame(channel=channel, sequence=row["sequence"], final=row["final"], data=row["data"])
        for row in rows
        if row["sequence"] is not None
    )
    return ChannelHistory(channel=channel, last_sequence=rows[0]["last"], final=rows[0]["ended"], frames=frames)


async def forget_older_than(connection: AsyncConnection, days: int) -> int:
    """Delete up to `SWEEP_BATCH` frames that are older than `days`. Returns how many."""
    old = FRAMES.c.created_at < sa.func.now() - sa.func.make_interval(0, 0, 0, days)
    batch = sa.select(FRAMES.c.channel, FRAMES.c.sequence).where(old).limit(SWEEP_BATCH)
    key = sa.tuple_(FRAMES.c.channel, FRAMES.c.sequence)
    return (await connection.execute(sa.delete(FRAMES).where(key.in_(batch)))).rowcount

"""Writes messages to the outbox: inside the caller's transaction, or in one statement together with the caller's own.

Messages go as one array per column, so that any number of them is the same prepared statement. The hint to whichever process
holds the relay's lease rides on the insert, which saves a round trip; PostgreSQL sends it at the commit. It says what was
offered (`handover`), and from which id on the messages can be read.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from libs.common.bus.base import Message
from libs.common.outbox.table import NOTIFY_CHANNEL, OUTBOX, bucket_of
from libs.common.statement import Statement

_PREFIX = "outbox_"  # of our parameters, beside those of the caller's statement
_FIELDS = {
    "message_id": "id",
    "type": "type",
    "source": "source",
    "subject": "subject",
    "routing_key": "routing_key",
    "must_route": "must_route",
    "traceparent": "traceparent",
    "body": "body",
    "created_at": "time",
}
_COLUMNS = (*_FIELDS, "bucket")
_MESSAGES = (
    sa.func.unnest(*(sa.bindparam(_PREFIX + column, type_=ARRAY(OUTBOX.c[column].type)) for column in _COLUMNS))
    .table_valued(*_COLUMNS, with_ordinality="place", name="messages")
    .render_derived()
)


def _insert(condition: sa.ColumnElement[bool]) -> sa.CTE:
    in_order = sa.select(*(_MESSAGES.c[column] for column in _COLUMNS)).where(condition).order_by(_MESSAGES.c.place)
    return sa.insert(OUTBOX).from_select(list(_COLUMNS), in_order).returning(OUTBOX.c.id).cte("written")


def _notify(written: sa.CTE) -> sa.Select[tuple[object]]:
    """One hint for all of `written`, none for nothing."""
    first = sa.cast(sa.func.min(written.c.id), sa.Text)
    hint = sa.bindparam(_PREFIX + "hint", type_=sa.Text).concat(" ").concat(first)
    return sa.select(sa.func.pg_notify(NOTIFY_CHANNEL, hint)).select_from(written).having(sa.func.count() > 0)


def parameters(messages: Sequence[Message], hint: str) -> dict[str, object]:
    """The values of `WRITE`, and of a `Change` beside its own, that write one row per message."""
    columns = {_PREFIX + column: [getattr(message, name) for message in messages] for column, name in _FIELDS.items()}
    buckets = [bucket_of(message.subject) for message in messages]
    return {**columns, _PREFIX + "bucket": buckets, _PREFIX + "hint": hint}


# The relay hears the hint and the lowest id when the transaction commits.
WRITE = Statement(_notify(_insert(sa.true())))


class Change:
    """An UPDATE, INSERT or DELETE that commits together with messages in one round trip; built once, applied often.

    Its values are `sa.bindparam`s. `statement` tells in one row whether it changed a row, and only then writes the messages. It
    locks that row before they get their ids, so the messages of two changes of a row have ids in the order of the commits.
    """

    def __init__(self, statement: sa.Update | sa.Insert | sa.Delete) -> None:
        changed = statement.returning(sa.literal_column("1").label("one")).cte("changed")
        any_changed = sa.exists(sa.select(changed.c.one))
        written = _insert(any_changed)
        self.statement = Statement(sa.select(any_changed, _notify(written).scalar_subquery()))

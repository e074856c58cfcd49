"""The SQL of the import: many rows at a time, of any table, addressed by primary key."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.models import SCRIPT_VERSIONS, SCRIPTS, TOKEN_VERSIONS, TOKENS, WORDS

Row: TypeAlias = dict[str, Any]

# Any constants that no other user of this database takes.
IMPORT_LOCK = 0x696D706F7274  # "import"
EDIT_LOCK = 0x65646974  # "edit": shared by those who change single things
_VERSIONS = {SCRIPTS: SCRIPT_VERSIONS, TOKENS: TOKEN_VERSIONS}


async def try_lock(connection: AsyncConnection) -> bool:
    """Be the only one who changes the catalogue until the end of the transaction, unless somebody else imports.

    Who changes a single thing at this moment is waited for: that takes milliseconds.
    """
    if not (await connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(IMPORT_LOCK)))).scalar_one():
        return False
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(EDIT_LOCK)))
    return True


async def try_lock_for_edit(connection: AsyncConnection) -> bool:
    """Let nobody import until the end of the transaction, unless somebody does; others change single things meanwhile."""
    locked = await connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock_shared(EDIT_LOCK)))
    return bool(locked.scalar_one())


async def rows(connection: AsyncConnection, column: sa.Column[Any], values: Iterable[object]) -> list[Row]:
    """Rows of the column's table that have one of `values` there, in the order of their primary key."""
    wanted = list(values)
    if not wanted:
        return []
    matching = column == sa.func.any(sa.cast(wanted, sa.ARRAY(column.type)))
    found = await connection.execute(sa.select(column.table).where(matching).order_by(*column.table.primary_key))
    return [dict(row._mapping) for row in found]


async def known_ids(connection: AsyncConnection, table: sa.Table, ids: Iterable[int]) -> set[int]:
    """Which of `ids` there are."""
    matching = table.c.id == sa.func.any(sa.cast(list(ids), sa.ARRAY(sa.Integer)))
    return set((await connection.execute(sa.select(table.c.id).where(matching))).scalars())


async def scripts_of_words(connection: AsyncConnection, word_ids: Iterable[int]) -> dict[int, int]:
    """Which line each of these words belongs to, for those that there are."""
    matching = WORDS.c.id == sa.func.any(sa.cast(list(word_ids), sa.ARRAY(sa.Integer)))
    found = await connection.execute(sa.select(WORDS.c.id, WORDS.c.script_id).where(matching))
    return {row.id: row.script_id for row in found}


async def highest_id(connection: AsyncConnection, table: sa.Table) -> int:
    """The highest id in use, 0 in an empty table."""
    highest: int = (await connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0)))).scalar_one()
    return highest


async def insert(connection: AsyncConnection, table: sa.Table, new: Sequence[Row]) -> None:
    """Insert rows that all have the same columns."""
    if new:
        await connection.execute(sa.insert(table), new)


async def update(connection: AsyncConnection, table: sa.Table, changed: Sequence[Row]) -> None:
    """Set the columns of rows that all have the same ones."""
    if changed:
        columns = [name for name in changed[0] if name not in table.primary_key.columns]
        statement = sa.update(table).where(_by_key(table)).values({name: sa.bindparam(f"new_{name}") for name in columns})
        values = [{f"new_{name}": row[name] for name in columns} for row in changed]
        await connection.execute(statement, [{**_key(table, r), **v} for r, v in zip(changed, values, strict=True)])


async def delete(connection: AsyncConnection, table: sa.Table, gone: Sequence[Row]) -> None:
    """Delete rows."""
    if gone:
        await connection.execute(sa.delete(table).where(_by_key(table)), [_key(table, row) for row in gone])


async def give_new_versions(connection: AsyncConnection, table: sa.Table, ids: Iterable[int]) -> None:
    """Each of these scenes or lines gets a version that is higher than any before."""
    changed = table.c.id == sa.func.any(sa.cast(list(ids), sa.ARRAY(sa.Integer)))
    await connection.execute(sa.update(table).where(changed).values(version=_VERSIONS[table].next_value()))


def _by_key(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in table.primary_key))


def _key(table: sa.Table, row: Row) -> Row:
    return {f"key_{column.name}": row[column.name] for column in table.primary_key}

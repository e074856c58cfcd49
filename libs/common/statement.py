"""Statements of the hot path: built with SQLAlchemy Core, compiled once, and from then on given to the driver as they are.

See docs/decisions/0005-core-not-orm.md for what that saves.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import asyncpg as driver
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]


class Statement:
    """Its values are `sa.bindparam`s, given at each execution. Its rows, and its errors, are the driver's own."""

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self._given: dict[str, object] = {}  # what the statement itself says
        self._arguments: list[tuple[str, Callable[[Any], Any] | None]] = []
        for name in compiled.positiontup or ():
            bound = compiled.binds[name]
            if bound.expanding:
                raise ValueError(f"{name} makes another statement for each number of values: compare with ANY(array) instead")
            if not bound.required:
                self._given[name] = bound.effective_value
            self._arguments.append((name, _encoder(bound.type)))

    def arguments(self, values: Mapping[str, object]) -> list[object]:
        """`values` in the order of the statement. Raises KeyError for one that is missing."""
        values = {**self._given, **values}
        return [values[name] if encode is None else encode(values[name]) for name, encode in self._arguments]


class Rows(Protocol):
    """Where statements run: in a `Transaction`, or in a `Database` each for itself."""

    async def rows(self, statement: Statement, values: Mapping[str, object]) -> list[driver.Record]:
        """What the statement finds."""


def _encoder(type_: sa.types.TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """From a value to what the driver takes; None where that is the same."""
    own = type_.dialect_impl(_DIALECT)
    if isinstance(own, sa.ARRAY) and _encoder(own.item_type) is None:
        return None  # SQLAlchemy would copy it
    return own.bind_processor(_DIALECT)

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from libs.common.db import Database
from libs.common.statement import Statement

NUMBERS = sa.table("numbers", sa.column("value", sa.Integer))
GIVEN = sa.bindparam("given", type_=ARRAY(sa.Integer))


async def test_values_are_given_by_name_and_what_the_statement_says_itself_stays(database: Database) -> None:
    document = sa.bindparam("document", type_=JSON)
    statement = Statement(sa.select(document.label("document"), (sa.bindparam("number", type_=sa.Integer) + 1).label("next")))
    for number in (1, 2):
        [row] = await database.rows(statement, {"number": number, "document": {"a": [1, None]}})
        assert (row["document"], row["next"]) == ({"a": [1, None]}, number + 1)


async def test_any_number_of_values_is_the_same_statement(database: Database) -> None:
    statement = Statement(sa.select(sa.func.coalesce(sa.func.array_length(GIVEN, 1), 0).label("length")))
    assert [(await database.rows(statement, {"given": [7] * n}))[0]["length"] for n in (0, 1, 3)] == [0, 1, 3]


async def test_a_value_that_is_missing_is_told_by_name(database: Database) -> None:
    with pytest.raises(KeyError, match="given"):
        await database.rows(Statement(sa.select(GIVEN)), {})


def test_what_would_be_a_statement_for_each_number_of_values_is_refused() -> None:
    several = sa.select(NUMBERS).where(NUMBERS.c.value.in_(sa.bindparam("several", expanding=True)))
    with pytest.raises(ValueError, match="several"):
        Statement(several)

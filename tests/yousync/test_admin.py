"""yousync admin and yousync acts, over a real database of auth."""

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from libs.common.acts import Act, Origin, Place
from libs.common.db import Database
from libs.common.migrations import upgrade
from services.auth import repository, session_repository
from services.auth.acts import record
from services.auth.models import SESSIONS
from yousync.cli import app


@pytest.fixture(scope="module")
def migrated(make_database: Callable[[str], str]) -> str:
    url = make_database("auth")
    asyncio.run(upgrade("services.auth", url))
    asyncio.run(_fill(url))
    return url


@pytest.fixture
def database_url(migrated: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for service in ("AUTH", "CATALOG", "AUDIO", "NOTIFIER"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", migrated)
    return migrated


async def _fill(url: str) -> None:
    database = Database(url, source="auth", pool_size=1)
    async with database.transaction() as tx:
        for number, name in enumerate(("alice", "bob"), start=1):
            await repository.create(tx.connection, id=number, email=f"{name}@example.org", login_type="google")
            await session_repository.add(
                tx.connection, f"{number}" * 32, number, device=None, network=None, idle=900, lifetime=900
            )
        for user_id in (1, 2, 1):
            place = Place("Firefox \N{FACE WITH TEARS OF JOY}", "192.0.2.0/24")
            await record(tx, Act.SIGNED_IN, Origin(place, user_id, "a" * 32))
    await database.close()


def yousync(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def acts(*arguments: str) -> Sequence[dict[str, object]]:
    told = yousync("acts", "--json", *arguments)
    assert told.exit_code == 0, told.output
    return [json.loads(line) for line in told.output.splitlines()]


def test_an_operator_makes_administrators_and_takes_it_back_but_not_from_the_last(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert yousync("admin", "list").output == ""
    assert yousync("admin", "grant", "ALICE@example.org").output.split() == ["1", "alice@example.org", "administrator"]
    assert "last administrator" in (last := yousync("admin", "revoke", "1")).output
    assert last.exit_code == 1
    assert yousync("admin", "grant", "2").exit_code == 0
    assert yousync("admin", "revoke", "alice@example.org").exit_code == 0
    assert [each["id"] for each in json.loads(yousync("admin", "list", "--json").output)] == [2]
    monkeypatch.setenv("AUTH_ADMIN_EMAILS", "x@example.org, Bob@example.org")
    assert yousync("admin", "revoke", "2").exit_code == 1
    assert "administrator by AUTH_ADMIN_EMAILS" in yousync("admin", "list").output

    async def ended() -> list[tuple[str, str | None]]:
        database = Database(database_url, source="auth", pool_size=1)
        async with database.reading() as connection:
            rows = await connection.execute(sa.select(SESSIONS.c.id, SESSIONS.c.end_reason).order_by(SESSIONS.c.id))
            found = [(row.id[0], row.end_reason) for row in rows]
        await database.close()
        return found

    assert asyncio.run(ended()) == [("1", "demoted"), ("2", None)]
    logged = [(each["act"], each["account_id"], each["service"], each.get("user_id")) for each in acts("--limit", "3")]
    assert logged == [
        ("admin_revoked", 1, "yousync", None),
        ("admin_granted", 2, "yousync", None),
        ("admin_granted", 1, "yousync", None),
    ]


@pytest.mark.parametrize("whom", ["nobody@example.org", "999", "0", str(2**40)])
def test_nobody_is_made_an_administrator_who_never_signed_in(whom: str, database_url: str) -> None:
    refused = yousync("admin", "grant", whom)
    assert (refused.exit_code, "no such account" in refused.output) == (1, True)


def test_the_log_is_told_by_person_act_and_time_the_newest_first(database_url: str) -> None:
    signed_in = acts("--act", "signed_in")
    assert [each["user_id"] for each in signed_in] == [1, 2, 1]
    assert [each["user_id"] for each in acts("--act", "signed_in", "--user", "1")] == [1, 1]
    assert acts("--until", "2020-01-01") == []
    assert acts("--act", "signed_in", "--since", "2020-01-01T00:00") == signed_in
    assert acts("--act", "signed_in", "--before", str(signed_in[1]["id"])) == signed_in[2:]
    line = yousync("acts", "--act", "signed_in", "--limit", "1").output
    assert line.split()[2:5] == ["auth", "1", "signed_in"]
    assert str(signed_in[0]["at"]).endswith("Z")


@pytest.mark.parametrize(
    "arguments", [("acts", "--act", "slept"), ("acts", "--since", "soon"), ("acts", "--limit", "0"), ("admin",)]
)
def test_what_it_does_not_understand_it_says(arguments: tuple[str, ...], database_url: str) -> None:
    assert yousync(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [("acts",), ("admin", "list"), ("admin", "grant", "1")])
def test_without_a_database_it_says_so(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("AUTH", "CATALOG", "AUDIO", "NOTIFIER"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    refused = yousync(*arguments)
    assert (refused.exit_code, "Traceback" in refused.output) == (2, False)

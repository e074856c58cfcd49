"""yousync keys rotate, over a real database of auth."""

import asyncio
import json
from collections.abc import Callable

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from libs.common.db import Database
from libs.common.migrations import upgrade
from services.auth.keys import SigningKeys
from yousync.cli import app

SECRET = SecretStr("a secret of at least thirty-two bytes")


@pytest.fixture
def database_url(make_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> str:
    url = make_database("auth")
    for service in ("AUTH", "CATALOG", "AUDIO", "NOTIFIER"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", url)
    return url


def test_rotating_replaces_the_key_without_a_gap(database_url: str) -> None:
    async def published() -> list[str]:
        database = Database(database_url, source="auth", pool_size=1)
        try:
            keys = SigningKeys(database, secret=SECRET, token_seconds=60)
            return [str((await keys.current()).kid), *(key["kid"] for key in (await keys.public())["keys"])]
        finally:
            await database.close()

    asyncio.run(upgrade("services.auth", database_url))
    runner = CliRunner()
    assert runner.invoke(app, ["keys", "rotate"]).exit_code == 1
    old, *_ = asyncio.run(published())
    rotated = runner.invoke(app, ["keys", "rotate"])
    assert rotated.exit_code == 0, rotated.output
    assert rotated.output.startswith(f"{old} signs for 120 s more")
    signs, new, also = asyncio.run(published())
    assert (signs, also) == (old, old)
    assert new != old
    logged = runner.invoke(app, ["acts", "--json"]).output.splitlines()
    assert [(act["act"], act["thing"], act["service"]) for act in map(json.loads, logged)] == [
        ("keys_rotated", f"key:{old}", "yousync")
    ]


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("AUTH", "CATALOG", "AUDIO", "NOTIFIER"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    refused = CliRunner().invoke(app, ["keys", "rotate"])
    assert (refused.exit_code, "Traceback" in refused.output) == (2, False)

"""The tables that migrations make are those that the code expects, and what they make of rows that there are."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.migrations import upgrade
from services.audio.models import METADATA

SHARED = {"outbox", "inbox", "deleted_users", "alembic_version"}


# SQLAlchemy 2.1 reflects a check constraint with an argument that it does not take.
@pytest.mark.filterwarnings("ignore:Can't validate argument 'dialect_options'")
async def test_migrations_make_the_tables_of_the_models(database_url: str) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)
        return [each for each in found if getattr(each[1], "table", each[1]).name not in SHARED]

    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_scores_are_taken_over_from_results_of_any_shape(make_database: Callable[[str], str]) -> None:
    results: dict[str, tuple[str | None, float | None]] = {
        "good": ('{"result": {"overall_score": 0.8200000000000001}}', 0.8200000000000001),
        "whole": ('{"result": {"overall_score": 1}}', 1.0),
        "small": ('{"result": {"overall_score": 5e-05}}', 5e-05),
        "tiny": ('{"result": {"overall_score": 1e-400}}', None),
        "huge": (f'{{"result": {{"overall_score": {10**300}}}}}', None),
        "endless": ('{"result": {"overall_score": 1e999999}}', None),
        "negative": ('{"result": {"overall_score": -0.5}}', None),
        "above": ('{"result": {"overall_score": 1.5}}', None),
        "text": ('{"result": {"overall_score": "0.5"}}', None),
        "flag": ('{"result": {"overall_score": true}}', None),
        "list": ("[1, 2]", None),
        "scalar": ("5", None),
        "null": ("null", None),
        "none": (None, None),
    }
    url = make_database("audio_before_scores")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade, "0005")
        for name, (posted, _) in results.items():
            await connection.execute(_JOB, {"id": name, "state": "completed", "result": posted})
        await connection.execute(_JOB, {"id": "cancelled", "state": "cancelled", "result": json.dumps(None)})
    await upgrade("services.audio", url)
    async with engine.connect() as connection:
        found = {row.id: row.score for row in await connection.execute(sa.text("SELECT id, score FROM jobs"))}
    await engine.dispose()
    assert found == {"cancelled": None, **{name: score for name, (_, score) in results.items()}}


_JOB = sa.text(
    "WITH take AS ("
    "  INSERT INTO takes VALUES (gen_random_uuid(), 1, 3, 7, :id, 'audio/wav', 1, '', now()) RETURNING id"
    ") INSERT INTO jobs (id, take_id, user_id, token_id, script_id, state, version, sequence, progress, message, attempt,"
    "   dispatch_at, deadline, result, priority, created_at, updated_at, finished_at, kind, owner_key, turn)"
    " SELECT :id, id, 1, 3, 7, :state, 1, 1, 100, '', 1, now(), now(), cast(:result AS json), 'high', now(), now(), now(),"
    "   'line', '', 0 FROM take"
)


def _upgrade(connection: sa.Connection, revision: str) -> Any:
    config = Config()
    config.set_main_option("script_location", "services.audio:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)

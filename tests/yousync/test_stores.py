from pathlib import Path

import asyncpg
import pytest

from yousync.environment import OWNS_DATABASE
from yousync.local.postgres import PrivatePostgres
from yousync.local.process import LocalServerError
from yousync.options import Options
from yousync.stores import find_database, find_stores

BROKER = "amqp://yousync:secret@broker:5672/"


def test_databases_lie_beside_the_one_that_is_named_unless_they_have_a_name_of_their_own(tmp_path: Path) -> None:
    options = Options(state_dir=tmp_path, database_url="postgresql://me@db/house", broker_url=BROKER)
    stores = find_stores(options, {"AUDIO_DATABASE_URL": "postgresql+asyncpg://other@elsewhere:5433/audio"})
    assert stores.database_urls == {
        "auth": "postgresql://me@db/house_auth",
        "catalog": "postgresql://me@db/house_catalog",
        "notifier": "postgresql://me@db/house_notifier",
        "audio": "postgresql://other@elsewhere:5433/audio",
    }
    assert (stores.broker_url, stores.broker_down) == (BROKER, "")


def test_where_nothing_runs_it_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match="NOTIFIER_DATABASE_URL"):
        find_stores(Options(state_dir=tmp_path), {})


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_state_folder_is_found_however_its_servers_were_started(tmp_path: Path, tcp: bool) -> None:
    server = PrivatePostgres(tmp_path / "postgres", tcp=tcp, durable=False)
    server.start()
    try:
        server.create_service_database("yousync_audio")
        stores = find_stores(Options(state_dir=tmp_path), {})
        assert set(stores.database_urls) == set(OWNS_DATABASE)
        connection = await asyncpg.connect(stores.database_urls["audio"])
        assert await connection.fetchval("SELECT current_database()") == "yousync_audio"
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE mine (id int)")
        await connection.close()
        connection = await asyncpg.connect(find_database("audio", Options(state_dir=tmp_path), {}))
        assert await connection.fetchval("SELECT current_user") == "yousync_audio_service"
        await connection.close()
        assert (stores.broker_url, stores.broker_down) == (None, "")
        (tmp_path / "rabbitmq").mkdir()
        assert "does not run" in find_stores(Options(state_dir=tmp_path), {}).broker_down
    finally:
        server.stop()

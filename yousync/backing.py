"""Brings up what a platform runs on: whatever has no URL is started here, in the state folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import quote

import asyncpg
from sqlalchemy.engine import URL, make_url

from libs.common.migrations import upgrade
from libs.common.settings import BusSettings
from yousync.broker import Broker
from yousync.environment import OWNS_DATABASE, Backing
from yousync.local.postgres import PrivatePostgres
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.local.s3 import PrivateS3
from yousync.options import Options
from yousync.topology.apply import make_broker
from yousync.topology.rights import USERS

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def embedded_backing(options: Options) -> AsyncIterator[Backing]:
    """PostgreSQL from the wheel, the in-memory bus, objects on the disk, unless URLs say otherwise. Ends with the block."""
    postgres = None if options.database_url else PrivatePostgres(options.state_dir / "postgres")
    try:
        yield await _backing(options, postgres, None, None)
    finally:
        if postgres is not None:
            await asyncio.to_thread(postgres.stop)


async def start_fleet_backing(options: Options, ladder: tuple[float, ...] | None = None) -> Backing:
    """PostgreSQL from the wheel, a private RabbitMQ, an S3 server, unless URLs say otherwise. They outlive this process.

    In the private ones each service has a user of its own. `ladder` is that of retries, in seconds; by default RETRY_LADDER.
    """
    postgres = None if options.database_url else PrivatePostgres(options.state_dir / "postgres", tcp=True)
    rabbitmq = None if options.broker_url else PrivateRabbitMQ(options.state_dir / "rabbitmq")
    s3 = None if options.storage_url else PrivateS3(options.state_dir / "s3")
    backing = await _backing(options, postgres, rabbitmq, s3)
    if rabbitmq is None:
        return backing
    await make_broker(
        Broker(rabbitmq.amqp_url, rabbitmq.management_url, ladder or BusSettings().retry_ladder, rabbitmq.passwords(USERS))
    )
    return replace(backing, broker_urls={user: rabbitmq.user_url(user) for user in USERS})


async def stop_fleet_backing(options: Options) -> None:
    """Stop what `start_fleet_backing` has started in this state folder, if it runs."""
    for server in (
        PrivateS3(options.state_dir / "s3"),
        PrivateRabbitMQ(options.state_dir / "rabbitmq"),
        PrivatePostgres(options.state_dir / "postgres", tcp=True),
    ):
        await asyncio.to_thread(server.stop)


async def _backing(
    options: Options, postgres: PrivatePostgres | None, rabbitmq: PrivateRabbitMQ | None, s3: PrivateS3 | None
) -> Backing:
    parts = [part for part in (postgres, rabbitmq, s3) if part is not None]
    await asyncio.gather(*(asyncio.to_thread(part.start) for part in parts))
    if postgres is not None:
        made = {
            service: await asyncio.to_thread(postgres.create_service_database, f"yousync_{service}")
            for service in OWNS_DATABASE
        }
        urls = {service: each.url for service, each in made.items()}
        owner_urls = {service: each.owner_url for service, each in made.items()}
    else:
        assert options.database_url is not None
        urls = owner_urls = await _databases_beside(make_url(options.database_url.get_secret_value()))
    for service, url in owner_urls.items():
        await upgrade(f"services.{service}", url)
    given = options.broker_url.get_secret_value() if options.broker_url else None
    return Backing(
        broker_url=rabbitmq.amqp_url if rabbitmq else given,
        database_urls=urls,
        owner_urls=owner_urls,
        storage_url=options.storage_url or (s3.storage_url if s3 else f"file://{quote(str(_objects(options)))}"),
        storage_environment=s3.environment if s3 else {},
    )


def _objects(options: Options) -> str:
    folder = (options.state_dir / "objects").resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(folder)


async def _databases_beside(url: URL) -> dict[str, str]:
    """One database per service on the server of `url`, named after its database (`<name>_audio`), made where missing."""
    prefix = url.database or "yousync"
    urls = {
        service: url.set(drivername="postgresql+asyncpg", database=f"{prefix}_{service}").render_as_string(hide_password=False)
        for service in OWNS_DATABASE
    }
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(plain, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        raise LocalServerError(f"DATABASE_URL: {url.host or 'the server'} does not let us in: {error}") from error
    try:
        for each in urls.values():
            name = make_url(each).database or ""
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                quoted = '"' + name.replace('"', '""') + '"'
                await connection.execute(f"CREATE DATABASE {quoted}")
    except asyncpg.PostgresError as error:
        wanted = ", ".join(make_url(each).database or "" for each in urls.values())
        raise LocalServerError(f"DATABASE_URL: the databases {wanted} are needed and could not be made: {error}") from error
    finally:
        await connection.close()
    return urls

"""The real audio app over a database and a folder of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import KeySet
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import NOTIFIER, QUEUES, WORK
from libs.common.deleted_users import DELETED_USERS
from libs.common.inbox import INBOX
from libs.common.migrations import upgrade
from libs.common.outbox.table import OUTBOX
from libs.common.web.auth import TokenVerifier
from services.audio.main import build
from services.audio.models import METADATA
from services.audio.settings import AudioSettings
from tests.services.audio.house import KEY, FakeCatalog, House, Open, script, served
from tests.services.audio.queueing import Queue, queue_on

KEPT = {"turns"}  # its rows are made once, by a migration


@pytest.fixture(scope="session")
async def migrated_database(make_database: Callable[[str], str]) -> str:
    url = make_database("audio")
    await upgrade("services.audio", url)
    return url


@pytest.fixture
async def database_url(migrated_database: str) -> str:
    """Empty tables: one database for all tests, because emptying is faster than making."""
    engine = create_async_engine(migrated_database)
    async with engine.begin() as connection:
        for table in (*reversed(METADATA.sorted_tables), DELETED_USERS, OUTBOX, INBOX):
            if table.name not in KEPT:
                await connection.execute(table.delete())
        await connection.execute(text("UPDATE turns SET turn = 0"))
    await engine.dispose()
    return migrated_database


@pytest.fixture
async def catalog() -> AsyncIterator[FakeCatalog]:
    fake = FakeCatalog()
    async with served(fake.app()) as url:
        fake.url = url
        yield fake


@pytest.fixture
def open_house(database_url: str, tmp_path: Path) -> Open:
    """`async with open_house(lease_seconds=1) as house`: a running service with these settings, which knows line 7."""

    @asynccontextmanager
    async def running(*, knows_line: bool = True, storage: str | None = None, **values: Any) -> AsyncIterator[House]:
        folder = tmp_path / "objects"
        settings = AudioSettings(
            **{
                "database_url": SecretStr(database_url),
                "storage_url": storage or folder.as_uri(),
                "catalog_url": "http://127.0.0.1:1",  # nobody answers there
                "sweep_seconds": 0.05,
                **values,
            }
        )
        bus = MemoryBus(retry_ladder=(0.05,))
        await bus.start()
        app = build(settings, bus)

        async def keys() -> dict[str, Any]:
            return dict(KeySet([KEY]).as_dict(private=False))

        app.state.verifier = TokenVerifier(keys, issuer="yousync", leeway=0)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://audio") as client,
        ):
            house = House(app, client, bus, folder)
            await bus.consume(NOTIFIER, house.facts)
            for queue in WORK.values():
                await bus.consume(queue, house.work)
            for queue in QUEUES:  # what several services hear is handled when all of them have
                if queue.service in ("auth", "catalog"):
                    await bus.consume(queue, house.elsewhere)
            await house.ready()
            if knows_line:
                await house.tell(script())
            yield house
        await bus.close()

    return running


@pytest.fixture
async def house(open_house: Open) -> AsyncIterator[House]:
    """A running service that knows line 7."""
    async with open_house() as house:
        yield house


@pytest.fixture
async def memory_bus() -> AsyncIterator[MemoryBus]:
    """A bus that nobody uses yet."""
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.close()


@pytest.fixture
async def queue(database_url: str, tmp_path: Path, memory_bus: MemoryBus) -> AsyncIterator[Queue]:
    """The jobs' queue without the service around it."""
    async with queue_on(database_url, tmp_path / "objects", memory_bus) as queue:
        yield queue

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.bus.topology import AUDIO
from libs.common.migrations import upgrade
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from tests.callers import as_service


async def _ignore(message: Message) -> None:
    """What `audio` does with its messages is none of notifier's business."""


class Ear:
    """Hears all frames of the bus."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []

    async def __call__(self, partition: int, body: bytes) -> None:
        self.heard.append((partition, body))


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus(retry_ladder=(0.01, 0.01))
    await bus.start()
    await bus.consume(AUDIO, _ignore)  # the memory bus' publish waits for every queue that a message is bound for
    yield bus
    await bus.close()


@pytest.fixture
async def ear(bus: MemoryBus) -> Ear:
    ear = Ear()
    listener = await bus.listen_frames(ear)
    for partition in range(256):
        await listener.bind(partition)
    return ear


@pytest.fixture(scope="session")
async def database_url(make_database: Callable[[str], str]) -> str:
    """A migrated database for all tests of the service."""
    url = make_database("notifier")
    await upgrade("services.notifier", url)
    return url


@pytest.fixture
async def app(database_url: str, bus: MemoryBus) -> AsyncIterator[FastAPI]:
    """The service, consuming, in an empty database."""
    settings = NotifierSettings(environment="test", database_url=database_url)
    app = build(settings, bus)
    async with app.router.lifespan_context(app):
        async with app.state.notifier._database.autocommit() as connection:
            await connection.exec_driver_sql("TRUNCATE frames, inbox")
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Another service of the platform."""
    transport = httpx.ASGITransport(app)
    gateway = as_service("gateway", "notifier")
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=gateway) as client:
        yield client

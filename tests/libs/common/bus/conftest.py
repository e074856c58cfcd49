"""RabbitMQ as the tests of the bus need it: with queues that are new in each test, and with a way to it that can be cut."""

from collections.abc import AsyncIterator

import aiormq
import pytest
import pytest_asyncio

from libs.common.bus.base import Bus
from libs.common.bus.rabbit import RabbitBus
from tests.libs.common.bus.conformance import LADDER, LEFT, ONE, RIGHT, NewBus
from tests.libs.common.bus.proxy import Proxy
from yousync.local.rabbitmq import PrivateRabbitMQ


@pytest_asyncio.fixture
async def clean_broker(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[None]:
    """The queues that tests declare are new in each test."""
    yield
    connection = await aiormq.connect(rabbitmq.amqp_url)
    channel = await connection.channel()
    for queue in (LEFT.name, RIGHT.name, ONE.name, LEFT.dead_letter_queue):
        await channel.queue_delete(queue)
    await connection.close()


@pytest.fixture
def new_bus(rabbitmq: PrivateRabbitMQ) -> NewBus:
    return lambda: RabbitBus(rabbitmq.amqp_url, name="test", retry_ladder=LADDER)


@pytest_asyncio.fixture
async def raw(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """The broker as another program sees it."""
    connection = await aiormq.connect(rabbitmq.amqp_url)
    yield await connection.channel()
    await connection.close()


@pytest_asyncio.fixture
async def proxy(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[Proxy]:
    proxy = Proxy(rabbitmq.amqp_url)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest_asyncio.fixture
async def distant(proxy: Proxy) -> AsyncIterator[Bus]:
    """A bus whose connections can be cut."""
    bus = RabbitBus(proxy.url, name="distant", retry_ladder=LADDER)
    await bus.start()
    yield bus
    await bus.close()

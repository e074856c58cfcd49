import asyncio

import httpx

from libs.common.bus.factory import open_bus
from libs.common.contracts.notifier import HEARD, Frame, Stored
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from tests.services.notifier.test_service import completed, message
from yousync.local.rabbitmq import PrivateRabbitMQ

PATIENCE = 10.0  # seconds until the test gives up waiting; nothing is measured with it


async def test_in_a_fleet_a_fact_on_the_broker_becomes_a_frame_that_can_be_read(
    database_url: str, rabbitmq: PrivateRabbitMQ
) -> None:
    settings = NotifierSettings(environment="test", database_url=database_url, broker_url=rabbitmq.amqp_url)
    heard: asyncio.Queue[Frame | Stored] = asyncio.Queue()

    async def hear(partition: int, body: bytes) -> None:
        heard.put_nowait(HEARD.validate_json(body))

    others = open_bus(settings, name="others")
    await others.start()
    listener = await others.listen_frames(hear)
    for partition in range(256):
        await listener.bind(partition)
    app = build(settings)
    fact = message(completed().model_copy(update={"job_id": "f" * 32}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notifier") as client,
        asyncio.timeout(PATIENCE),
    ):
        await others.publish(fact)
        assert await heard.get() == Stored(channel=f"job:{'f' * 32}", sequence=4)
        history = await app.state.notifier.history(f"job:{'f' * 32}", 0)
        assert [(frame.sequence, frame.final) for frame in history.frames] == [(4, True)]
        assert (await client.get("/health/ready")).status_code == 200
    await others.close()

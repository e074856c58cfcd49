import asyncio

from prometheus_client import REGISTRY

from libs.common.background import background
from libs.common.bus.base import Message
from libs.common.bus.depth import watch_depths
from libs.common.bus.memory import MemoryBus


def depth(service: str, queue: str) -> float | None:
    return REGISTRY.get_sample_value("yousync_bus_queue_depth", {"service": service, "queue": queue})


async def test_a_service_shows_what_waits_in_its_own_queues_and_not_in_others() -> None:
    bus = MemoryBus()
    await bus.start()
    message = Message(type="t", body=b"{}", source="test", subject="a", routing_key="analysis.started")
    publishing = asyncio.create_task(bus.publish(message))
    async with background(watch_depths(bus, "notifier")), asyncio.timeout(5):
        while depth("notifier", "notifier.events") != 1.0:
            await asyncio.sleep(0.01)
    assert depth("notifier", "notifier.dead") == 0.0
    assert depth("notifier", "audio.events") is None
    await bus.close()
    await asyncio.gather(publishing, return_exceptions=True)

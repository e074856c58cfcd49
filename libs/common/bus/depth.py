"""Queue depths as a metric: each service looks at its own queues, its dead letters, and the rungs of the retry ladder."""

from libs.common.background import every
from libs.common.bus.base import Bus
from libs.common.bus.metrics import DEPTH
from libs.common.bus.topology import QUEUES, RETRY_EXCHANGE_PREFIX

# As often as Prometheus commonly scrapes; each look is one question per queue to the broker.
LOOK_SECONDS = 15.0


async def watch_depths(bus: Bus, service: str) -> None:
    """Keep `yousync_bus_queue_depth` of `service` up to date until cancelled."""

    async def look() -> None:
        if not bus.connected:
            return  # nothing is known; yousync_bus_connected says so
        own = {name for queue in QUEUES if queue.service == service for name in (queue.name, queue.dead_letter_queue)}
        for name, depth in (await bus.depths()).items():
            if name in own or name.startswith(RETRY_EXCHANGE_PREFIX):
                DEPTH.labels(service, name).set(depth)

    await every(LOOK_SECONDS, look, what="looking at the queues")

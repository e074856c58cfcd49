"""Queue depths as a metric: each service looks at its own queues, its dead letters, and the rungs of the retry ladder."""

from libs.common.background import every
from libs.common.bus.base import Bus
from libs.common.bus.metrics import DEPTH
from libs.common.bus.topology import seen_by

# As often as Prometheus commonly scrapes; each look is one question per queue to the broker.
LOOK_SECONDS = 15.0


async def watch_depths(bus: Bus, service: str) -> None:
    """Keep `yousync_bus_queue_depth` of `service` up to date until cancelled; `service` is its user at the broker, too."""

    async def look() -> None:
        if not bus.connected:
            return  # nothing is known; yousync_bus_connected says so
        # What it may not see it does not ask for: the broker's log of refusals is for those who try what they should not.
        for name, depth in (await bus.depths(seen_by(service))).items():
            DEPTH.labels(service, name).set(depth)

    await every(LOOK_SECONDS, look, what="looking at the queues")

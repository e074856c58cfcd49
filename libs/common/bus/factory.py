"""From BROKER_URL to a bus."""

from libs.common.bus.base import Bus
from libs.common.bus.rabbit import RabbitBus
from libs.common.settings import BusSettings


def open_bus(settings: BusSettings, *, name: str) -> Bus:
    """The bus that `settings` names, not started. `name` is the service, for connection names and metrics.

    Raises ValueError for a scheme that is no broker; `memory://` works only where services share a process, and there the
    shared bus is handed to them instead.
    """
    url = settings.broker_url.get_secret_value()
    scheme = url.partition("://")[0]
    if scheme not in ("amqp", "amqps"):
        raise ValueError(f"BROKER_URL must begin with amqp:// or amqps://, not with {scheme}://")
    declares = settings.broker_topology == "declare"
    return RabbitBus(url, name=name, retry_ladder=settings.retry_ladder, declares=declares)

"""The bus over RabbitMQ 3.10 to 4.x.

`bus` is the port; `link` a connection that comes back; `consumer` and `ear` hang on it; `codec` and `declare` speak AMQP.
"""

from libs.common.bus.rabbit import lenient
from libs.common.bus.rabbit.bus import RabbitBus

lenient.install()  # here, so that no tool that looks into the broker by other ways than the bus can forget it

__all__ = ["RabbitBus"]

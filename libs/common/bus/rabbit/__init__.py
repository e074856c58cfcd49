"""The bus over RabbitMQ 3.10 to 4.x.

`bus` is the port; `link` a connection that comes back; `consumer` and `ear` hang on it; `codec` and `declare` speak AMQP.
"""

from libs.common.bus.rabbit.bus import RabbitBus

__all__ = ["RabbitBus"]

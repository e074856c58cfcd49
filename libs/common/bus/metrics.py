"""What both buses count. Several services may share a process: the label `service` is the name of the bus."""

from prometheus_client import Counter, Gauge, Histogram

PUBLISHED = Counter(
    "yousync_bus_published_total",
    "Messages handed to the bus, by what became of the publish (confirmed, unroutable, unavailable).",
    ("service", "type", "outcome"),
)
CONSUMED = Counter(
    "yousync_bus_consumed_total",
    "Handler runs, by what became of the message (handled, retried, dead, returned).",
    ("service", "queue", "type", "outcome"),
)
HANDLER_SECONDS = Histogram(
    "yousync_bus_handler_seconds",
    "How long one run of a handler took.",
    ("service", "queue", "type"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
RETRIES = Counter("yousync_bus_retries_total", "Messages put on the retry ladder.", ("service", "queue"))
DEAD_LETTERS = Counter("yousync_bus_dead_letters_total", "Messages given up, by reason.", ("service", "queue", "reason"))
REDELIVERED = Counter(
    "yousync_bus_redelivered_total",
    "Messages that came again because an earlier consumer did not acknowledge them.",
    ("service", "queue"),
)
CONNECTED = Gauge("yousync_bus_connected", "1 while the bus can publish and consume, else 0.", ("service",))
DEPTH = Gauge("yousync_bus_queue_depth", "Messages that wait, by queue.", ("service", "queue"))

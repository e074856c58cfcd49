"""What Prometheus reads, at an address of its own: what runs here and how fast is nothing for the public door."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server


@contextmanager
def metrics_server(listen: str) -> Iterator[int | None]:
    """Serve all metrics of the process at `listen` (`host:port`) meanwhile; its port. Nowhere if it is empty."""
    if not listen:
        yield None
        return
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

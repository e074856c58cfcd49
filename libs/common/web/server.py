"""Runs apps under uvicorn, on a port or a Unix socket, and ends them in time."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn
import uvloop
from fastapi import FastAPI

from libs.common.settings import S, Settings, load
from libs.common.telemetry import configure_logging

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75  # above the 60 s that common proxies keep an idle connection, so that they close first


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: whoever runs several apps in one process decides when they stop."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        where = (
            {"uds": str(settings.listen_uds)}
            if settings.listen_uds
            else {"host": settings.listen_host, "port": settings.listen_port}
        )
        super().__init__(
            uvicorn.Config(
                app,
                **where,
                log_config=None,
                access_log=False,
                lifespan="on",
                http=getattr(app.state, "http_protocol", "auto"),  # an app may guard its own connections
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
                server_header=False,
                date_header=True,
                forwarded_allow_ips=settings.forwarded_allow_ips,
            )
        )
        self._app = app

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals alone."""
        return nullcontext()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the app that its open requests should end, then wait for them.

        The lifespan ends only after them: what never ends by itself, such as an event stream, has to hear it here
        (`app.state.stopping`, callables).
        """
        for stop in getattr(self._app.state, "stopping", ()):
            stop()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Accept nothing new and end when the running requests have, at the latest after the graceful time."""
        self.should_exit = True


def run(service: str, settings_type: type[S], build: Callable[[S], FastAPI]) -> None:
    """The main function of a service's own process: serve until SIGTERM or SIGINT."""
    settings = load(settings_type)
    configure_logging(service, level=settings.log_level)
    uvloop.run(_serve(build(settings), settings))


async def _serve(app: FastAPI, settings: Settings) -> None:
    server = Server(app, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()

"""The whole platform in one process: every service's own app on its own socket, one in-memory bus, one event loop."""

import asyncio
import fcntl
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from libs.common.bus.base import Bus
from libs.common.bus.memory import MemoryBus
from libs.common.errors import YouSyncError
from libs.common.settings import Settings, load
from libs.common.web.server import Server
from yousync.backing import embedded_backing
from yousync.environment import SERVICES, Address, service_environment, variables
from yousync.local.process import LocalServerError
from yousync.options import Options
from yousync.ready import until_ready

# sun_path holds 108 bytes with the terminating zero (unix(7))
SOCKET_PATH_LIMIT = 107


@asynccontextmanager
async def embedded_platform(options: Options) -> AsyncIterator[str]:
    """A running platform; yields its base URL when everything is ready. Raises `LocalServerError` with what to do."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_one(options.state_dir))
        _require_free_port(options)
        backing = await stack.enter_async_context(embedded_backing(options))
        bus: Bus | None = None
        if backing.broker_url is None:
            bus = MemoryBus()
            await bus.start()
            stack.push_async_callback(bus.close)
        sockets = stack.enter_context(_socket_folder(options.state_dir))
        addresses = {name: Address.socket(sockets / f"{name}.sock") for name in SERVICES}
        addresses["gateway"] = Address.tcp(options.host, options.port)
        servers = []
        for name in SERVICES:
            with variables(service_environment(name, options, backing, addresses)):
                app, settings = _build(name, bus)
            servers.append(Server(app, settings))
        running = [asyncio.create_task(server.serve()) for server in servers]
        stack.push_async_callback(_stop, servers, running)
        await until_ready(addresses, running)
        yield options.base_url


def _build(service: str, bus: Bus | None) -> tuple[FastAPI, Settings]:
    """The service's app with settings from the environment. Imported here so that `--help` does not load numpy."""
    from services.analysis.main import build as analysis
    from services.analysis.settings import AnalysisSettings
    from services.audio.main import build as audio
    from services.audio.settings import AudioSettings
    from services.auth.main import build as auth
    from services.auth.settings import AuthSettings
    from services.catalog.main import build as catalog
    from services.catalog.settings import CatalogSettings
    from services.gateway.main import build as gateway
    from services.gateway.settings import GatewaySettings
    from services.notifier.main import build as notifier
    from services.notifier.settings import NotifierSettings

    rooms: dict[str, tuple[Callable[..., FastAPI], type[Any]]] = {
        "analysis": (analysis, AnalysisSettings),
        "audio": (audio, AudioSettings),
        "auth": (auth, AuthSettings),
        "catalog": (catalog, CatalogSettings),
        "gateway": (gateway, GatewaySettings),
        "notifier": (notifier, NotifierSettings),
    }
    build, settings_type = rooms[service]
    settings: Settings = load(settings_type)
    try:
        return build(settings, bus), settings
    except (YouSyncError, ValueError) as error:
        raise LocalServerError(str(error)) from error


async def _stop(servers: list[Server], running: list[asyncio.Task[None]]) -> None:
    for server in servers:
        server.stop()
    await asyncio.gather(*running, return_exceptions=True)


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Two platforms in one state folder would tear at the same files."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "platform.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalServerError(
                f"a platform runs in {state_dir} already: end it first, or choose another folder with STATE_DIR="
            ) from None
        yield


def _require_free_port(options: Options) -> None:
    with socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise LocalServerError(
                f"cannot listen on {options.host}:{options.port} ({error.strerror}): choose another port with PORT="
            ) from error


@contextmanager
def _socket_folder(state_dir: Path) -> Iterator[Path]:
    """A folder for the services' sockets that only this user enters; elsewhere if the state folder's path is too long."""
    folder = (state_dir / "run").resolve()
    if len(os.fsencode(folder / "analysis.sock")) <= SOCKET_PATH_LIMIT:
        folder.mkdir(exist_ok=True, mode=0o700)
        for left_over in folder.glob("*.sock"):
            left_over.unlink()
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="yousync-") as short:
        yield Path(short)

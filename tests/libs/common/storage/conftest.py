import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from libs.common.storage.disk import DiskStorage
from libs.common.storage.disk_http import disk_objects_router
from libs.common.web import problems

SIGNING_KEY = b"a signing key only for these tests"


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, str]]:
    """An application on a loopback port, and its address; each test puts the router of its own storage into it."""
    app = FastAPI()
    problems.install(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest_asyncio.fixture
async def disk(tmp_path: Path, served: tuple[FastAPI, str]) -> AsyncIterator[DiskStorage]:
    app, address = served
    storage = DiskStorage(tmp_path / "root", signing_key=SIGNING_KEY, public_url=address)
    await storage.start()
    app.router.routes.clear()
    app.include_router(disk_objects_router(storage))
    yield storage
    await storage.close()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a link and nothing else."""
    async with httpx.AsyncClient(timeout=10) as client:
        yield client

"""A running audio service, and the rest of the platform as a test plays it."""

import asyncio
import io
import time
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.audio import AnalysisRequested
from libs.common.contracts.base import Event, event_type
from libs.common.contracts.catalog import Scene, ScriptCreated, ScriptSnapshot, TokenCreated, TokenSnapshot, Word
from libs.common.settings import Settings
from libs.common.web.auth import ALGORITHMS, AUDIENCE
from libs.common.web.server import Server
from services.audio.service import JobService

E = TypeVar("E", bound=Event)

PATIENCE = 10.0  # seconds until a test gives up waiting; nothing is measured with it

KEY = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)


def bearer(user_id: int, *, admin: bool = False) -> dict[str, str]:
    """The headers of a signed-in user, for as long as a run of all tests may take: some are made when a file is read."""
    claims = {
        "iss": "yousync", "aud": AUDIENCE, "sub": str(user_id), "admin": admin, "exp": int(time.time()) + 3600
    }  # fmt: skip
    header = {"alg": "Ed25519", "kid": KEY.kid}
    return {"Authorization": f"Bearer {jwt.encode(header, claims, KEY, algorithms=ALGORITHMS)}"}


def wav(seconds: float = 0.05) -> bytes:
    """Silence, 16 kHz, 16 bit."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * round(16_000 * seconds)))
    return buffer.getvalue()


def script(script_id: int = 7, *, version: int = 1, token_id: int = 3) -> ScriptCreated:
    """A line of two words."""
    return ScriptCreated(
        script_id=script_id,
        token_id=token_id,
        version=version,
        start_time=10.0,
        end_time=12.0,
        script="you could",
        words=(
            Word(id=1, word="you", start_time=10.0, end_time=11.0, mfcc=((1.0,) * 13,)),
            Word(id=2, word="could", start_time=11.0, end_time=12.0),
        ),
    )


def token(token_id: int = 3, *, version: int = 1, **changes: Any) -> TokenCreated:
    """The scene of the line, with both reference objects."""
    fields = {
        "token_name": "Scene 03",
        "actor_name": "Tom Hardy",
        "start_time": 9.0,
        "end_time": 16.0,
        "s3_textgrid_url": "Tom Hardy/vid1/0/scene.TextGrid",
        "s3_pitch_url": "Tom Hardy/vid1/1/pitch.json",
    }
    return TokenCreated(token_id=token_id, version=version, **{**fields, **changes})


class Ear:
    """Hears what the service publishes, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Condition()

    async def __call__(self, message: Message) -> None:
        model = event_type(message.type)
        assert model is not None
        async with self._news:
            self.events.append(model.model_validate_json(message.body))
            self._news.notify_all()

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, kind: type[E], count: int = 1) -> E:
        """The `count`th event of this kind, when it has come."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


class FakeCatalog:
    """Answers like `catalog`; `url` is where."""

    def __init__(self) -> None:
        self.url = ""
        self.scripts: dict[int, Any] = {}
        self.tokens: dict[int, Any] = {}
        self.status = 200
        self.asked: list[int] = []

    def app(self) -> FastAPI:
        """GET /internal/scripts/{id}, /internal/tokens/{id}."""
        app = FastAPI()

        @app.get("/internal/scripts/{script_id}")
        async def get_script(script_id: int) -> JSONResponse:
            return self._answer(script_id, self.scripts)

        @app.get("/internal/tokens/{token_id}")
        async def get_token(token_id: int) -> JSONResponse:
            return self._answer(token_id, self.tokens)

        return app

    def knows(self, token: TokenSnapshot, *scripts: ScriptSnapshot) -> None:
        """From now on it has this scene with these lines."""
        scene = Scene(token=TokenSnapshot(**token.model_dump()), scripts=scripts)
        self.tokens[token.token_id] = scene.model_dump(mode="json")

    def _answer(self, wanted: int, known: dict[int, Any]) -> JSONResponse:
        self.asked.append(wanted)
        if self.status != 200 or wanted not in known:
            return JSONResponse({"detail": "no"}, status_code=404 if self.status == 200 else self.status)
        return JSONResponse(known[wanted])


@asynccontextmanager
async def served(app: FastAPI, *, lifespan: Literal["on", "off"] = "on") -> AsyncIterator[str]:
    """The app under a real server on a free port; its address. `lifespan="off"` for an app that runs already."""
    server = Server(app, Settings(listen_port=0))
    server.config.lifespan = lifespan
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE):
            while not server.started:
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await running


class House:
    """A running audio service and everything around it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, bus: MemoryBus, folder: Path) -> None:
        self.app = app
        self.client = client
        self.bus = bus
        self.folder = folder
        self.facts = Ear()  # what the notifier hears
        self.work = Ear()  # what analysis servers are given
        self.elsewhere = Ear()  # what the other services hear

    @property
    def jobs(self) -> JobService:
        jobs: JobService = self.app.state.jobs
        return jobs

    async def ready(self) -> None:
        """A service answers before it has reached everything that it needs; a test begins after that."""
        async with asyncio.timeout(PATIENCE):
            while (await self.client.get("/health/ready")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.01)

    async def tell(self, event: Event) -> None:
        """Publish `event`; it has been handled when this returns."""
        await self.bus.publish(Message.of(event, source="/test", subject=""))

    async def upload(
        self, data: bytes | None = None, *, script_id: int = 7, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Upload a recording as the web client does."""
        files = {"file": ("script_7.wav", wav() if data is None else data, "audio/wav")}
        return await self.client.post(f"/api/scripts/{script_id}/upload-audio", files=files, headers=headers)

    async def dispatched(self, *, headers: dict[str, str] | None = None) -> AnalysisRequested:
        """Upload a recording, and the work that comes of it."""
        before = len(self.work.events)
        answer = await self.upload(headers=headers)
        assert answer.status_code == 200, answer.text
        return await self.work.until(AnalysisRequested, before + 1)

    async def upload_scene(
        self, data: bytes | None = None, *, token_id: int = 3, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Upload a recording of a whole scene as somebody who is signed in."""
        files = {"file": ("scene.wav", wav() if data is None else data, "audio/wav")}
        return await self.client.post(f"/api/tokens/{token_id}/upload-audio/", files=files, headers=headers or bearer(1))

    async def dispatched_scene(self) -> AnalysisRequested:
        """Upload a recording of a whole scene that is known, and the work that comes of it."""
        before = len(self.work.events)
        answer = await self.upload_scene()
        assert answer.status_code == 200, answer.text
        return await self.work.until(AnalysisRequested, before + 1)

    async def state(self, job_id: str) -> dict[str, Any]:
        """The job as its owner's client sees it, whoever owns it."""
        answer = await self.client.get(f"/api/tokens/analysis-result/{job_id}", headers=bearer(1, admin=True))
        body: dict[str, Any] = answer.json()
        return body

    def objects(self) -> list[Path]:
        """The recordings in the store, whole or not."""
        return [file for file in self.folder.rglob("*") if file.is_file() and file.name != "lock" and file.suffix != ".json"]

    async def rows(self, query: str) -> list[Any]:
        """Rows of the service's database."""
        engine = create_async_engine(self.app.state.settings.database_url.get_secret_value())
        async with engine.begin() as connection:
            found = await connection.execute(text(query))
            rows = list(found) if found.returns_rows else []
        await engine.dispose()
        return rows


Open = Callable[..., AbstractAsyncContextManager[House]]
"""`async with open_house(lease_seconds=1) as house`: a running service with these settings."""

"""A stand-in for an analysis server of the old platform, and for a preprocessor of films: reads the two forms and the JSON as
strictly as those servers do, and behaves as a test wants it to.

    async with AnalysisServer() as server:
        server.plan(status(500), scores())      # the first job fails, all others are scored
        ...
        assert server.faults == []

`python -m tests.analysis_server --after 0.5` prints its addresses and serves until it is ended.
"""

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

LINE_PATH, TOKEN_PATH, FILM_PATH = "/analyze-script", "/analyze-token", "/preprocess"
MAX_FORM_BYTES: Final = 8 * 1024 * 1024

S3_URL = r"^s3://[a-z0-9][a-z0-9.-]+/.+$"
S3_URL_OR_NOTHING = rf"{S3_URL}|^$"
WEBHOOK = r"^https?://[^?]+/webhook/analysis-complete/?\?job_id=[0-9a-f-]{32,36}(&.*)?$"
WEBHOOK_OR_NOTHING = rf"{WEBHOOK}|^$"
FILM_WEBHOOK = r"^https?://[^?]+/api/youtube/webhook/process-complete\?job_id=[0-9a-f-]{36}(&.*)?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WordForm(_Strict):
    """A word of a line. Times are seconds."""

    id: int
    start_time: float | None
    end_time: float | None
    word: str | None
    mfcc: list[list[float]] = []


class ScriptForm(_Strict):
    """A line."""

    id: int
    words: list[WordForm]


class LineJob(_Strict):
    """What the field `request_data` holds."""

    s3_audio_url: str = Field(pattern=S3_URL)
    webhook_url: str = Field(pattern=WEBHOOK_OR_NOTHING)
    script: ScriptForm


class TokenJob(_Strict):
    """The fields of a whole scene's form."""

    s3_audio_url: str = Field(pattern=S3_URL)
    video_id: str = Field(pattern=r"^\d+$")
    webhook_url: str = Field(pattern=WEBHOOK_OR_NOTHING)
    s3_textgrid_url: str = Field(pattern=S3_URL_OR_NOTHING)
    s3_pitch_url: str = Field(pattern=S3_URL_OR_NOTHING)


class FilmJob(_Strict):
    """The JSON document that asks for the scenes of a film."""

    youtube_url: str = Field(pattern=r"^https://www\.youtube\.com/watch\?v=[A-Za-z0-9_-]{11}$")
    movie_name: str = Field(min_length=1)
    actor_name: str = Field(min_length=1)
    job_id: str
    webhook_url: str = Field(pattern=FILM_WEBHOOK)


Job: TypeAlias = LineJob | TokenJob | FilmJob


@dataclass
class Asked:
    """One job that was posted."""

    server: "AnalysisServer"
    job: Job
    request: web.Request

    @property
    def job_id(self) -> str:
        """Which job it is, from the address of its webhook."""
        return dict(parse_qsl(urlsplit(self.job.webhook_url).query)).get("job_id", "")

    def result(self) -> dict[str, Any]:
        """Scores of every word, or two scenes of a film; `answered_at` is when they were made, in seconds since the epoch."""
        if isinstance(self.job, FilmJob):
            return {"token_ids": [1, 2], "status": "completed", "message": "done"}
        words = self.job.script.words if isinstance(self.job, LineJob) else []
        analysis = [{"id": word.id, "word": word.word, "word_score": 0.9, "text_status": "pass"} for word in words]
        return {
            "status": "success",
            "scores": {"overall_score": 0.9},
            "result": {"overall_score": 0.9, "word_analysis": analysis},
            "answered_at": time.time(),
        }

    async def call_back(self) -> None:
        """Report the result to the webhook, once, as those servers do, and note how that went."""
        report = self.result()
        report.pop("scores", None)
        body = {"task_id": None, "analysis_results": report} if isinstance(self.job, TokenJob) else report
        async with self.server.client.post(self.job.webhook_url, json=body) as answer:
            await self.server.note(self.job_id, answer.status)


Behaviour: TypeAlias = Callable[[Asked], Awaitable[web.StreamResponse]]


def scores(after: float = 0.0) -> Behaviour:
    """The scores are in the answer. All times are seconds."""

    async def behave(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(after)
        return web.json_response(asked.result())

    return behave


def webhook(after: float = 0.0, *, times: int = 1, answer: str = "accepted") -> Behaviour:
    """Answers at once that it took the job, and calls the webhook `times` times later."""

    async def behave(asked: Asked) -> web.StreamResponse:
        async def report() -> None:
            await asyncio.sleep(after)
            for _ in range(times):
                await asked.call_back()

        asked.server.later(report())
        return web.Response(text=answer)

    return behave


def webhook_first(after: float = 0.0) -> Behaviour:
    """Calls the webhook before it answers, `after` seconds later."""

    async def behave(asked: Asked) -> web.StreamResponse:
        await asked.call_back()
        await asyncio.sleep(after)
        return web.json_response({"status": "accepted"})

    return behave


def accepted(body: bytes = b'{"status": "accepted"}', media_type: str = "application/json") -> Behaviour:
    """Answers that it took the job, or whatever else `body` says, and forgets it."""

    async def behave(_: Asked) -> web.StreamResponse:
        return web.Response(body=body, content_type=media_type)

    return behave


def garbage() -> Behaviour:
    """Promises JSON and sends none."""
    return accepted(b'{"scores": {"overall')


def status(code: int, **headers: str) -> Behaviour:
    """Answers with this status; headers with `_` for `-`."""

    async def behave(_: Asked) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text="at 10.0.0.7: out of order", status=code, headers=named)

    return behave


def hang() -> Behaviour:
    """Says nothing until whoever asked goes away."""

    async def behave(_: Asked) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    return behave


def break_off() -> Behaviour:
    """Closes the connection in the middle of the answer."""

    async def behave(asked: Asked) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(asked.request)
        await answer.write(b'{"scores": ')
        assert asked.request.transport is not None
        asked.request.transport.abort()
        return answer

    return behave


@dataclass
class AnalysisServer:
    """On a port of 127.0.0.1, from `async with` to its end. The port stays the same when it is started again."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what it could not read
    calls_back: list[tuple[str, int]] = field(default_factory=list)  # job, the webhook's status

    def __post_init__(self) -> None:
        self._behaviours: deque[Behaviour] = deque([scores()])
        self._later: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def line_url(self) -> str:
        """Where jobs of script lines are posted."""
        return f"http://127.0.0.1:{self.port}{LINE_PATH}"

    @property
    def token_url(self) -> str:
        """Where jobs of whole scenes are posted."""
        return f"http://127.0.0.1:{self.port}{TOKEN_PATH}"

    @property
    def film_url(self) -> str:
        """Where films are posted."""
        return f"http://127.0.0.1:{self.port}{FILM_PATH}"

    def plan(self, *behaviours: Behaviour) -> None:
        """One for each job from now on; the last one also for all that follow."""
        self._behaviours = deque(behaviours)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it when the answer is on its way."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def until_asked(self, times: int, *, seconds: float = 10.0) -> None:
        """Wait for the `times`th job."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.asked) >= times)

    async def note(self, job_id: str, status: int) -> None:
        """The webhook of a job was called and answered with `status`."""
        async with self._news:
            self.calls_back.append((job_id, status))
            self._news.notify_all()

    async def until_called_back(self, job_id: str, times: int = 1, *, seconds: float = 10.0) -> list[int]:
        """The statuses with which the job's webhook has answered, when it has done so `times` times."""

        def statuses() -> list[int]:
            return [status for job, status in self.calls_back if job == job_id]

        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(statuses()) >= times)
        return statuses()

    async def start(self) -> None:
        """Listen."""
        self.client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10.0))
        app = web.Application(client_max_size=MAX_FORM_BYTES)
        app.router.add_post(LINE_PATH, self._endpoint(_read_line))
        app.router.add_post(TOKEN_PATH, self._endpoint(_read_token))
        app.router.add_post(FILM_PATH, self._endpoint(_read_film))
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more, as after a crash: what runs is not finished."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self._runner.cleanup()
        await self.client.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _endpoint(
        self, read: Callable[[web.Request], Awaitable[Job]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            try:
                job = await read(request)
            except (ValueError, ValidationError) as error:
                self.faults.append(str(error))
                return web.json_response({"detail": str(error)}, status=422)
            asked = Asked(self, job, request)
            behave = self._behaviours[0] if len(self._behaviours) == 1 else self._behaviours.popleft()
            async with self._news:
                self.asked.append(asked)
                self._news.notify_all()
            return await behave(asked)

        return endpoint


async def _fields(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise ValueError(f"a form was expected, not {request.content_type!r}")
    body = await request.read()
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field comes twice")
    return fields


async def _read_line(request: web.Request) -> Job:
    fields = await _fields(request)
    if fields.keys() != {"request_data"}:
        raise ValueError(f"one field request_data was expected, not {sorted(fields)}")
    return LineJob.model_validate(json.loads(fields["request_data"]))


async def _read_token(request: web.Request) -> Job:
    return TokenJob.model_validate(await _fields(request))


async def _read_film(request: web.Request) -> Job:
    if request.content_type != "application/json":
        raise ValueError(f"JSON was expected, not {request.content_type!r}")
    return FilmJob.model_validate_json(await request.read())


async def _serve(port: int, reports: Literal["answer", "webhook"], after: float) -> None:
    server = AnalysisServer(port)
    server.plan(scores(after) if reports == "answer" else webhook(after))
    async with server:
        print(f"{server.line_url} {server.token_url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--reports", choices=["answer", "webhook"], default="answer")
    parser.add_argument("--after", type=float, default=0.5, help="seconds")
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.port, chosen.reports, chosen.after))

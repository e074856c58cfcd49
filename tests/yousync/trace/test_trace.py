"""The story of a real job: audio and notifier over PostgreSQL and RabbitMQ, the test in the place of the analysis server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import httpx
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from fastapi import FastAPI
from joserfc.jwk import KeySet
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from libs.common.bus.base import PARTITIONS, Message, Reject
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.topology import FRAMES_EXCHANGE, NOTIFIER, QUEUES, WORK_HIGH
from libs.common.contracts.audio import (
    AnalysisReport,
    AnalysisReportCompleted,
    AnalysisReportFailed,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
)
from libs.common.migrations import upgrade
from libs.common.telemetry import child_traceparent
from libs.common.web.auth import TokenVerifier
from services.audio.main import build as build_audio
from services.audio.settings import AudioSettings
from services.notifier.main import build as build_notifier
from services.notifier.settings import NotifierSettings
from tests.services.audio.house import KEY, PATIENCE, script, wav
from yousync.cli import app
from yousync.environment import OWNS_DATABASE
from yousync.local.rabbitmq import PrivateRabbitMQ

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LADDER = (0.05,)
FINAL = "SELECT 1 FROM frames WHERE channel = $1 AND final"
ALL_SENT = "SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox WHERE subject LIKE '%:' || $1 AND sent_at IS NULL)"
REQUEST_SENT = "SELECT 1 FROM outbox WHERE subject = 'work:' || $1 AND sent_at IS NOT NULL"
LONG_AGO = "UPDATE outbox SET sent_at = sent_at - interval '1 minute', created_at = created_at - interval '1 minute'"
Script = Callable[[AnalysisRequested], list[AnalysisReport]]


@pytest.fixture(scope="module")
async def databases(make_database: Callable[[str], str]) -> dict[str, str]:
    urls = {service: make_database(service) for service in OWNS_DATABASE}
    for service, url in urls.items():
        await upgrade(f"services.{service}", url)
    return urls


@pytest.fixture
def environment(databases: dict[str, str], rabbitmq: PrivateRabbitMQ) -> dict[str, str]:
    """What an operator's terminal knows."""
    urls = {f"{service.upper()}_DATABASE_URL": url for service, url in databases.items()}
    return urls | {"BROKER_URL": rabbitmq.amqp_url, "RETRY_LADDER": json.dumps(LADDER)}


class Server:
    """An analysis server that reports what it is told to, attempt by attempt."""

    def __init__(self, bus: RabbitBus, *attempts: Script) -> None:
        self._bus = bus
        self._attempts = list(attempts)
        self.asked: list[AnalysisRequested] = []

    async def __call__(self, message: Message) -> None:
        request = AnalysisRequested.model_validate_json(message.body)
        self.asked.append(request)
        for report in self._attempts.pop(0)(request):
            trace = child_traceparent(message.traceparent)
            await self._bus.publish(Message.of(report, source="analysis", subject=f"job:{request.job_id}", traceparent=trace))


def reports(request: AnalysisRequested) -> dict[str, Any]:
    return {"job_id": request.job_id, "lease": request.lease, "worker": f"server-{request.attempt}"}


def gives_up(request: AnalysisRequested) -> list[AnalysisReport]:
    own = reports(request)
    failure = AnalysisReportFailed(**own, reason="worker_stopping", message="..", temporary=True)
    return [AnalysisReportStarted(**own), AnalysisReportProgressed(**own, progress=30, step="transcribing"), failure]


def completes(request: AnalysisRequested) -> list[AnalysisReport]:
    own = reports(request)
    return [AnalysisReportStarted(**own), AnalysisReportCompleted(**own, result={"status": "success", "result": {}})]


@pytest.fixture
async def bus(rabbitmq: PrivateRabbitMQ) -> AsyncIterator[RabbitBus]:
    """The broker, with nothing in its queues that other tests have left."""
    bus = RabbitBus(rabbitmq.amqp_url, name="trace test", retry_ladder=LADDER)
    await bus.start()
    connection = bus._publishing.connection
    assert connection is not None
    async with await connection.channel() as channel:
        for name in {name for queue in QUEUES for name in (queue.name, queue.dead_letter_queue)}:
            await (await channel.get_queue(name, ensure=False)).purge()
    yield bus
    await bus.close()


@pytest.fixture
async def audio(databases: dict[str, str], bus: RabbitBus, environment: dict[str, str], tmp_path: Path) -> FastAPI:
    """The service's app, which runs within its lifespan."""
    settings = AudioSettings(
        database_url=SecretStr(databases["audio"]),
        broker_url=SecretStr(environment["BROKER_URL"]),
        retry_ladder=LADDER,
        storage_url=tmp_path.as_uri(),
        catalog_url="http://127.0.0.1:1",  # nobody answers there
    )
    app = build_audio(settings)

    async def keys() -> dict[str, Any]:
        return dict(KeySet([KEY]).as_dict(private=False))

    app.state.verifier = TokenVerifier(keys, issuer="yousync", leeway=0)
    return app


@pytest.fixture
async def notifier(databases: dict[str, str], bus: RabbitBus, environment: dict[str, str]) -> FastAPI:
    """The service's app, which runs within its lifespan."""
    settings = NotifierSettings(
        database_url=SecretStr(databases["notifier"]), broker_url=SecretStr(environment["BROKER_URL"]), retry_ladder=LADDER
    )
    return build_notifier(settings)


async def upload(audio: FastAPI, bus: RabbitBus) -> str:
    """Upload a recording of a line that audio has heard of, as a learner whose browser began a trace; the job."""
    await bus.publish(Message.of(script(), source="catalog", subject="script:7"))
    files = {"file": ("take.wav", wav(), "audio/wav")}
    header = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(audio), base_url="http://audio", headers=header) as client:

        async def uploaded() -> Any:
            answer = await client.post("/api/scripts/7/upload-audio", files=files)
            return answer.is_success and answer.json()["job_id"]

        return str(await until(uploaded))


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """What `found` finds, when it does: other processes' effects have no event to wait for."""
    async with asyncio.timeout(PATIENCE):
        while not (what := await found()):
            await asyncio.sleep(0.02)
    return what


async def rows(url: str, query: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()


async def trace(environment: dict[str, str], *arguments: str) -> Result:
    """`yousync trace` as an operator runs it."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["trace", *arguments], env=environment)


async def test_a_job_that_was_retried_reads_like_a_story(
    databases: dict[str, str], environment: dict[str, str], audio: FastAPI, notifier: FastAPI, bus: RabbitBus
) -> None:
    async with audio.router.lifespan_context(audio), notifier.router.lifespan_context(notifier):
        work = await bus.consume(WORK_HIGH, Server(bus, gives_up, completes))
        job = await upload(audio, bus)
        await until(lambda: rows(databases["notifier"], FINAL, f"job:{job}"))
        await until(lambda: rows(databases["audio"], ALL_SENT, job))
        told = await trace(environment, job)
        machine = await trace(environment, job, "--json")
        await work.drain()
    assert told.exit_code == 0, told.output
    assert_told(
        told.output,
        rf'job {job}: line 7 "you could" of scene 3, spoken by somebody who was not signed in, priority high',
        r"began at .* UTC; in seconds since then:",
        r"├─ \+TIME the take was received: 1\.6 KiB of audio/wav, stored as takes/anonymous/3/7/.*\.wav",
        r"├─ \+TIME accepted: the job is committed together with its take",
        r"│  └─ \+TIME audio\.uploaded: .*audio handled it TOOK; notifier handled it TOOK; frame 1 stored",
        r"├─ \+TIME attempt 1, lease [0-9a-f]{8}",
        r"│  ├─ \+TIME analysis\.requested: .*taken from analysis\.work\.high TOOK",
        r"│  ├─ \+TIME server-1 took it up",
        r"│  │  └─ \+TIME analysis\.started: .*notifier handled it TOOK; frame 2 stored",
        r"│  ├─ \+TIME told its progress once, shown as up to 78 %",
        r"│  └─ \+TIME server-1 could not do it "
        r"\(the analysis server was stopped and gave the job back\); it is to be tried again",
        r"└─ \+TIME attempt 2, lease [0-9a-f]{8}",
        r"   ├─ \+TIME analysis\.requested: .*taken from analysis\.work\.high TOOK",
        r"   ├─ \+TIME server-2 took it up",
        r"   │  └─ \+TIME analysis\.started: .*notifier handled it TOOK; frame 4 stored",
        r"   └─ \+TIME server-2 reported the result, which is committed: completed",
        r"      └─ \+TIME analysis\.completed: .*notifier handled it TOOK; final frame 5 stored",
        r"completed in SPAN at attempt 2",
    )
    story = json.loads(machine.stdout)
    assert story["verdict"] == told.output.splitlines()[-1]
    assert not story["stuck"]


def assert_told(output: str, *patterns: str) -> None:
    """Each line is as its pattern says; TIME is seconds since the beginning, SPAN a duration, TOOK a wait."""
    words = {"TIME": r"[0-9.]+", "TOOK": r"(after|within) SPAN", "SPAN": r"[0-9.]+ m?s"}
    said = output.splitlines()
    for line, pattern in zip(said, patterns, strict=False):
        for word, meaning in words.items():
            pattern = pattern.replace(word, meaning)
        assert re.fullmatch(pattern, line), line
    assert len(said) == len(patterns), output


async def test_everything_that_is_said_of_a_job_is_in_the_trace_of_its_upload(
    databases: dict[str, str], audio: FastAPI, notifier: FastAPI, bus: RabbitBus, environment: dict[str, str]
) -> None:
    server = Server(bus, gives_up, completes)
    async with (
        audio.router.lifespan_context(audio),
        notifier.router.lifespan_context(notifier),
        await aio_pika.connect(environment["BROKER_URL"]) as connection,
    ):
        channel = await connection.channel()
        frames = await channel.declare_queue(exclusive=True)
        for partition in range(PARTITIONS):
            await frames.bind(FRAMES_EXCHANGE, str(partition))
        work = await bus.consume(WORK_HIGH, server)
        job = await upload(audio, bus)
        await until(lambda: rows(databases["notifier"], FINAL, f"job:{job}"))
        await work.drain()
        sent = await rows(databases["audio"], "SELECT type, traceparent FROM outbox WHERE subject LIKE '%:' || $1", job)
        heard = [message async for message in pending(frames)]
    assert {row["type"] for row in sent} >= {"audio.uploaded", "analysis.requested", "analysis.started", "analysis.completed"}
    assert {row["traceparent"].split("-")[1] for row in sent} == {TRACE}
    assert len({row["traceparent"] for row in sent}) == len(sent), "each is a span of its own"
    assert heard
    assert {str(message.headers["traceparent"]).split("-")[1] for message in heard} == {TRACE}


async def pending(queue: AbstractQueue) -> AsyncIterator[AbstractIncomingMessage]:
    """What waits in the queue now."""
    while (message := await queue.get(no_ack=True, fail=False)) is not None:
        yield message


async def test_a_job_that_nobody_takes_is_stuck_in_its_work_queue(
    databases: dict[str, str], environment: dict[str, str], audio: FastAPI, notifier: FastAPI, bus: RabbitBus
) -> None:
    async with audio.router.lifespan_context(audio), notifier.router.lifespan_context(notifier):
        job = await upload(audio, bus)
        await until(lambda: rows(databases["audio"], REQUEST_SENT, job))
        await until(lambda: rows(databases["audio"], ALL_SENT, job))
        await rows(databases["audio"], LONG_AGO)
        told = await trace(environment, job)
    assert told.exit_code == 1
    verdict = told.output.splitlines()[-1]
    assert re.fullmatch(
        r"stuck: analysis\.requested waits in analysis\.work\.high since .* and nobody consumes it \(1 wait there\)", verdict
    )


async def test_a_dead_letter_of_a_job_is_found_and_a_broker_that_is_away_is_named(
    databases: dict[str, str], environment: dict[str, str], audio: FastAPI, bus: RabbitBus
) -> None:
    died = asyncio.Event()

    async def refuse(message: Message) -> None:
        died.set()
        raise Reject("notifier does not want it")

    async with audio.router.lifespan_context(audio):
        refusing = await bus.consume(NOTIFIER, refuse)
        job = await upload(audio, bus)
        await asyncio.wait_for(died.wait(), PATIENCE)
        await refusing.drain()
        await until(lambda: rows(databases["audio"], ALL_SENT, job))
        told = await trace(environment, job)
        alone = await trace(environment | {"BROKER_URL": "amqp://127.0.0.1:1/"}, job)
    assert told.exit_code == 1
    assert "dead letter of notifier (rejected) after 1 attempt: Reject: notifier does not want it" in told.output
    verdict = told.output.splitlines()[-1]
    assert re.fullmatch(
        r"stuck: audio\.uploaded is a dead letter of notifier; its cause mended, `yousync dlq redrive --id [0-9a-f-]{36}`",
        verdict,
    )
    assert "broker does not answer: connecting failed" in alone.output
    assert re.search("audio handled it (after|within) ", alone.output)


async def test_an_unknown_job_and_a_database_that_is_away_are_said(environment: dict[str, str]) -> None:
    unknown = await trace(environment, "f" * 32)
    assert (unknown.exit_code, unknown.output.splitlines()[-1]) == (1, "there is no such job")
    away = await trace(environment | {"AUDIO_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "f" * 32)
    assert away.exit_code == 1
    assert "audio's database does not answer: ConnectionRefusedError" in away.output
    assert away.output.splitlines()[-1].startswith("nothing is known")

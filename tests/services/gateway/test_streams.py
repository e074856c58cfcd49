import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from libs.common.bus.factory import open_bus
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.notifier import Frame, Stored
from libs.common.web.service_tokens import HEADER
from services.gateway.main import build
from services.gateway.settings import GatewaySettings
from tests.callers import verifier_of
from tests.services.gateway.conftest import JOB, PATIENCE, Fake, FakeNotifier, NewGateway, serving
from yousync.local.rabbitmq import PrivateRabbitMQ

PROGRESS = f"/api/scripts/analysis-progress/{JOB}"
UNKNOWN_JOB = b'data: {"error":"Job not found"}\n\n'


@dataclass
class Client:
    """A browser's end of a stream."""

    response: httpx.Response
    chunks: AsyncIterator[bytes]
    text: bytearray = field(default_factory=bytearray)

    async def frames(self, count: int) -> list[bytes]:
        """All that was written, as soon as it is at least `count` frames (comments count)."""
        async with asyncio.timeout(PATIENCE):
            while self.text.count(b"\n\n") < count:
                self.text += await anext(self.chunks)
        return [bytes(frame) + b"\n\n" for frame in self.text.split(b"\n\n")[:-1]]

    async def rest(self) -> bytes:
        """All that was written, when the stream has ended."""
        async with asyncio.timeout(PATIENCE):
            async for chunk in self.chunks:
                self.text += chunk
        return bytes(self.text)

    async def ids(self, count: int) -> list[int]:
        """The ids of the first frames."""
        return ids(b"".join(await self.frames(count)))


def ids(text: bytes) -> list[int]:
    return [int(line[4:]) for line in text.split(b"\n") if line.startswith(b"id: ")]


@asynccontextmanager
async def open_stream(gateway: httpx.AsyncClient, path: str = PROGRESS, **headers: str) -> AsyncIterator[Client]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with gateway.stream("GET", path, headers=given) as response:
        assert response.status_code == 200
        yield Client(response, response.aiter_raw())


async def until_end(reader: asyncio.StreamReader) -> bytes:
    """The rest of a chunked answer."""
    text = bytearray()
    while not text.endswith(b"\r\n0\r\n\r\n"):
        text += await reader.read(1 << 20)
    return bytes(text)


async def test_the_headers_are_those_of_an_event_stream(gateway: httpx.AsyncClient, notifier: FakeNotifier) -> None:
    await notifier.tell()
    async with open_stream(gateway) as client:
        headers = client.response.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")


async def test_a_frame_is_an_id_and_one_line_of_json_with_korean_unescaped(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell(progress=40)
    async with open_stream(gateway) as client:
        assert await client.frames(1) == [
            f'id: 1\ndata: {{"job_id": "{JOB}", "status": "processing", "progress": 40, "message": "분석 중…", '
            f'"result": null}}\n\n'.encode()
        ]


async def test_a_new_client_hears_the_newest_state_and_what_follows_up_to_the_final_frame(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    await notifier.tell()
    async with open_stream(gateway) as client:
        assert await client.ids(1) == [2]
        await notifier.tell()
        assert await client.ids(2) == [2, 3]
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [2, 3, 4]


@pytest.mark.parametrize("path", [PROGRESS, PROGRESS + "/", PROGRESS.replace("scripts", "tokens")])
async def test_a_finished_job_is_its_final_frame_and_the_end(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, path: str
) -> None:
    await notifier.tell()
    await notifier.tell(final=True)
    async with open_stream(gateway, path) as client:
        assert ids(await client.rest()) == [2]


@pytest.mark.parametrize(
    ("last", "expected"), [("0", [1, 2, 3]), ("1", [2, 3]), ("3", [3]), ("99", [3]), ("x", [3]), ("-1", [3])]
)
async def test_a_client_that_comes_back_hears_what_it_missed(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, last: str, expected: list[int]
) -> None:
    for _ in range(3):
        await notifier.tell()
    async with open_stream(gateway, Last_Event_ID=last) as client:
        if last != "3":
            assert await client.ids(len(expected)) == expected
        await notifier.tell(final=True)
        assert ids(await client.rest()) == ([] if last == "3" else expected) + [4]


async def test_a_client_that_has_the_final_frame_hears_nothing_twice(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell(final=True)
    async with open_stream(gateway, Last_Event_ID="1") as client:
        assert await client.rest() == b""


async def test_a_client_that_is_ahead_of_notifier_hears_nothing_twice(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, audio: Fake
) -> None:
    await notifier.tell()
    job = {"job_id": JOB, "sequence": 2, "status": "processing", "progress": 70, "message": "x", "result": None}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    async with open_stream(gateway, Last_Event_ID="2") as client:
        await eventually(lambda: bool(audio.asked))
        await notifier.tell()
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [3]


async def test_a_client_that_has_the_final_frame_before_notifier_hears_it_once(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, audio: Fake
) -> None:
    await notifier.tell()
    job = {"job_id": JOB, "sequence": 2, "status": "completed", "progress": 100, "message": "x", "result": {"a": 1}}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    async with open_stream(gateway, Last_Event_ID="2") as client:
        assert await client.rest() == b""


async def test_what_audio_told_of_a_job_is_not_followed_by_older_frames(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, audio: Fake
) -> None:
    job = {"job_id": JOB, "sequence": 2, "status": "processing", "progress": 70, "message": "x", "result": None}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    async with open_stream(gateway) as client:
        await client.frames(1)
        for _ in range(2):
            await notifier.tell()
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [3]


@pytest.mark.parametrize("seen", ["1", "2"])
async def test_a_job_that_notifier_has_forgotten_is_told_to_whoever_has_not_seen_its_end(
    gateway: httpx.AsyncClient, audio: Fake, seen: str
) -> None:
    job = {"job_id": JOB, "status": "completed", "progress": 100, "message": "분석 완료", "result": {"a": 1}}
    audio.documents[f"/internal/jobs/{JOB}"] = {"sequence": 2, **job}
    async with open_stream(gateway, Last_Event_ID=seen) as client:
        told = await client.rest()
    assert told == (b"" if seen == "2" else b"data: " + json.dumps(job, ensure_ascii=False).encode() + b"\n\n")


async def test_a_repeated_frame_is_written_once(gateway: httpx.AsyncClient, notifier: FakeNotifier) -> None:
    first = await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        second = await notifier.tell()
        for frame in (second, first, second):
            await notifier.publish(frame)
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [1, 2, 3]


async def test_what_the_bus_lost_is_read_from_notifier(gateway: httpx.AsyncClient, notifier: FakeNotifier) -> None:
    await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        await notifier.tell(heard=False)
        await notifier.tell(heard=False)
        await notifier.tell()
        assert await client.ids(4) == [1, 2, 3, 4]
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [1, 2, 3, 4, 5]


async def test_a_frame_after_a_gap_is_told_although_it_is_not_stored_yet(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        await notifier.tell(heard=False)
        await notifier.publish(notifier.next(final=True))
        assert ids(await client.rest()) == [1, 2, 3]


async def test_a_frame_whose_fact_is_still_to_be_handled_holds_up_nothing_and_overrides_nothing(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        late = notifier.next()
        await notifier.publish(late.model_copy(update={"sequence": 3}))
        assert await client.ids(2) == [1, 3]
        await notifier.publish(late)
        await notifier.publish(late.model_copy(update={"sequence": 4, "final": True}))
        assert ids(await client.rest()) == [1, 3, 4]


async def test_a_frame_that_was_sent_before_the_stream_and_stored_after_it_had_read_is_told(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    frame = notifier.next(final=True)
    await notifier.publish(frame)
    async with open_stream(gateway) as client:
        assert await client.ids(1) == [1]
        notifier.store(frame)
        await notifier.publish(Stored(channel=frame.channel, sequence=frame.sequence))
        assert ids(await client.rest()) == [1, 2]


async def test_frames_that_are_heard_while_the_beginning_is_read_follow_it_in_order(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    third = notifier.next(final=True).model_copy(update={"sequence": 3})
    telling: list[asyncio.Task[None]] = []

    def slow(channel: str, after: int) -> dict[str, Any]:
        if not telling:
            telling.extend(asyncio.create_task(notifier.publish(frame)) for frame in (third, notifier.next()))
        return notifier.history(channel, after)

    notifier.fake.channels = slow
    async with open_stream(gateway) as client:
        assert ids(await client.rest()) == [1, 2, 3]


async def test_after_a_break_of_the_bus_streams_read_what_they_missed(
    new_gateway: NewGateway, notifier: FakeNotifier, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen, reconnected = bus.listen_frames, []

    async def remember(handler: Any, *, on_reconnect: Any = None) -> Any:
        reconnected.append(on_reconnect)
        return await listen(handler, on_reconnect=on_reconnect)

    monkeypatch.setattr(bus, "listen_frames", remember)
    gateway = await new_gateway()
    await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        await notifier.tell(heard=False, final=True)
        await reconnected[0]()
        assert ids(await client.rest()) == [1, 2]


async def test_a_stream_that_opens_while_the_bus_is_away_still_tells_what_happens(
    settings: GatewaySettings, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.hub.RETRY_SECONDS", 0.02)
    await notifier.tell()
    async with (
        serving(build(settings, MemoryBus()), settings) as (url, _),
        httpx.AsyncClient(base_url=url) as gateway,
        open_stream(gateway) as client,
    ):
        await client.frames(1)
        await notifier.tell(heard=False)
        await client.frames(2)
        await notifier.tell(heard=False, final=True)
        assert ids(await client.rest()) == [1, 2, 3]


async def test_over_a_real_broker_frames_arrive_also_after_it_was_away(
    settings: GatewaySettings, notifier: FakeNotifier, rabbitmq: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings.model_copy(update={"broker_url": SecretStr(rabbitmq.amqp_url)})
    gateways_bus = open_bus(own, name="gateway")
    monkeypatch.setattr("services.gateway.main.open_bus", lambda *_, **__: gateways_bus)
    others_bus = open_bus(own, name="notifier")
    await others_bus.start()
    real = FakeNotifier(notifier.fake, others_bus)
    await real.tell()
    async with (
        serving(build(own), own) as (url, _),
        httpx.AsyncClient(base_url=url) as gateway,
        open_stream(gateway) as client,
    ):
        await client.frames(1)
        await eventually(lambda: gateways_bus.connected)
        await real.tell()
        assert await client.ids(2) == [1, 2]
        gateways_bus._consuming.drop("a test pulls the plug")  # type: ignore[attr-defined]
        await real.tell(final=True)
        assert ids(await client.rest()) == [1, 2, 3]
    await others_bus.close()


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until `holds`."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_all_clients_of_a_job_hear_the_same(gateway: httpx.AsyncClient, notifier: FakeNotifier) -> None:
    await notifier.tell()
    async with open_stream(gateway) as one, open_stream(gateway) as two, open_stream(gateway, PROGRESS[:-1] + "0"):
        await one.frames(1)
        await two.frames(1)
        await notifier.tell(final=True)
        assert await one.rest() == await two.rest()


# Jobs that notifier does not know


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PROGRESS, UNKNOWN_JOB),
        (PROGRESS.replace("scripts", "tokens"), b'data: {"error": "Job not found"}\n\n'),
        (f"/api/youtube/process-progress/{JOB}/", UNKNOWN_JOB),
        ("/api/scripts/analysis-progress/no-job", UNKNOWN_JOB),
        ("/api/scripts/analysis-progress/%00", UNKNOWN_JOB),
        (f"/api/scripts/analysis-progress/{JOB.upper()}", UNKNOWN_JOB),
    ],
)
async def test_an_unknown_job_is_told_in_the_known_words(gateway: httpx.AsyncClient, path: str, expected: bytes) -> None:
    async with open_stream(gateway, path) as client:
        assert await client.rest() == expected


@pytest.mark.parametrize(
    ("path", "more"), [(PROGRESS, {}), (f"/api/youtube/process-progress/{JOB}", {"token_id": 4, "token_ids": [4, 5]})]
)
async def test_a_job_that_only_audio_knows_is_shown_as_audio_tells_it(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, audio: Fake, path: str, more: dict[str, Any]
) -> None:
    job = {"job_id": JOB, "status": "processing", "progress": 10, "message": "업로드 시작", "result": None, **more}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    async with open_stream(gateway, path) as client:
        (frame,) = await client.frames(1)
        assert frame == b"data: " + json.dumps(job, ensure_ascii=False).encode() + b"\n\n"
        assert verifier_of("audio").caller(audio.headers()[HEADER.lower()]) == "gateway"
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [1]


async def test_a_frame_that_is_told_while_the_beginning_is_read_follows_at_once(
    gateway: httpx.AsyncClient, notifier: FakeNotifier, audio: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.hub.RETRY_SECONDS", 3600.0)
    job = {"job_id": JOB, "status": "processing", "progress": 10, "message": "업로드 시작", "result": None}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    telling: list[asyncio.Task[Frame]] = []

    def empty_at_first(channel: str, after: int) -> dict[str, Any]:
        history = notifier.history(channel, after)
        if not telling:
            telling.append(asyncio.create_task(notifier.tell(final=True)))
        return history

    notifier.fake.channels = empty_at_first
    async with open_stream(gateway) as client:
        assert ids(await client.rest()) == [1]


async def test_a_finished_job_that_only_audio_knows_ends_the_stream(gateway: httpx.AsyncClient, audio: Fake) -> None:
    job = {"job_id": JOB, "status": "completed", "progress": 100, "message": "분석 완료", "result": {"a": 1}}
    audio.documents[f"/internal/jobs/{JOB}"] = job
    async with open_stream(gateway) as client:
        assert json.loads((await client.rest()).removeprefix(b"data: ")) == job


@pytest.mark.parametrize("silent", ["notifier", "audio"])
async def test_a_service_that_is_down_is_never_told_as_an_unknown_job(
    gateway: httpx.AsyncClient,
    fakes: dict[str, Fake],
    silent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.gateway.hub.RETRY_SECONDS", 0.05)
    job = {"job_id": JOB, "status": "failed", "progress": 0, "message": "x", "result": None}
    fakes["audio"].documents[f"/internal/jobs/{JOB}"] = job
    fakes[silent].down = True
    async with open_stream(gateway) as client:
        await eventually(lambda: len(fakes[silent].asked) >= 3)
        fakes[silent].down = False
        assert json.loads((await client.rest()).removeprefix(b"data: ")) == job


# Many, slow, and ending


async def test_a_quiet_stream_gets_comments(new_gateway: NewGateway, notifier: FakeNotifier) -> None:
    gateway = await new_gateway(heartbeat_seconds=0.05)
    await notifier.tell()
    async with open_stream(gateway) as client:
        frames = await client.frames(4)
        assert frames[1:4] == [b": \n\n"] * 3


async def test_a_client_that_reads_nothing_holds_up_nobody_and_gets_the_newest_later(
    gateway: httpx.AsyncClient, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what the kernel holds is not the gateway's
    connection.connect(("127.0.0.1", gateway.base_url.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    writer.write(f"GET {PROGRESS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"id: 1\n")
    async with open_stream(gateway) as healthy:
        await healthy.frames(1)
        for sequence in range(2, 30):
            frame = await notifier.tell(progress=sequence, heard=False)
            large = frame.model_copy(update={"data": {**frame.data, "message": "x" * 300_000}})
            await notifier.publish(large)
            assert (await healthy.ids(sequence))[-1] == sequence
        await notifier.tell(final=True)
        assert ids(await healthy.rest()) == list(range(1, 31))
        async with asyncio.timeout(PATIENCE):
            rest = ids(await until_end(reader))
    assert rest[-1] == 30
    assert len(rest) < 29
    writer.close()


async def test_more_streams_than_allowed_are_refused_until_one_ends(new_gateway: NewGateway, notifier: FakeNotifier) -> None:
    gateway = await new_gateway(max_streams=1)
    await notifier.tell()
    async with open_stream(gateway) as client:
        await client.frames(1)
        refused = await gateway.get(PROGRESS, headers={"Origin": "http://localhost:3000"})
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"
        await notifier.tell(final=True)
        await client.rest()
    async with open_stream(gateway) as client:
        assert ids(await client.rest()) == [2]


async def test_other_methods_are_not_allowed(gateway: httpx.AsyncClient) -> None:
    response = await gateway.post(PROGRESS)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


async def test_nothing_is_kept_of_clients_that_left(settings: GatewaySettings, bus: MemoryBus, notifier: FakeNotifier) -> None:
    app = build(settings, bus)
    hub = app.state.hub
    await notifier.tell()
    async with serving(app, settings) as (url, _):
        async with httpx.AsyncClient(base_url=url) as client, open_stream(client) as stream:
            await stream.frames(1)
            assert len(hub) == 1
        await eventually(lambda: not len(hub))
        await hub._unbind_unused()
        assert (hub._streams, hub._bound, hub._users.total()) == ({}, set(), 0)
        assert not any(hub._beats)


async def test_open_streams_end_as_soon_as_the_gateway_stops(
    settings: GatewaySettings, bus: MemoryBus, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    loop = asyncio.get_running_loop()
    patient = settings.model_copy(update={"shutdown_seconds": 60})
    async with (
        serving(build(settings, bus), patient) as (url, server),
        httpx.AsyncClient(base_url=url) as client,
        open_stream(client) as stream,
    ):
        await stream.frames(1)
        began = loop.time()
        server.stop()
        assert ids(await stream.rest()) == [1]
    assert loop.time() - began < 3

"""What an answer of an analysis server over HTTP means."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.common.contracts.audio import Priority
from services.analysis.errors import ServerBusy, ServerFailed, ServerSilent, ServerUnreachable, TakeRefused
from services.analysis.forms import MEDIA_TYPE, encoded, form_of
from services.analysis.http_server import HttpServer
from tests.analysis_server import AnalysisServer, Behaviour, accepted, break_off, garbage, hang, scores, status
from tests.services.analysis.desk import work

MAX_BYTES = 4096


@asynccontextmanager
async def asking(url: str, **changes: Any) -> AsyncIterator[HttpServer]:
    limits = {"connections": 4, "connect_seconds": 1.0, "answer_seconds": 5.0, "max_bytes": MAX_BYTES}
    server = HttpServer(url, media_type=MEDIA_TYPE, **{**limits, **changes})
    try:
        yield server
    finally:
        await server.close()


async def answer_to(behaviour: Behaviour, **changes: Any) -> dict[str, Any]:
    form = encoded(form_of(work(Priority.HIGH, audio_uri="s3://yousync/take.wav")))
    async with AnalysisServer() as server, asking(server.line_url, **changes) as client:
        server.plan(behaviour)
        try:
            return await client.ask(form)
        finally:
            assert server.faults == []


async def test_an_answer_is_what_the_server_says() -> None:
    assert (await answer_to(scores()))["scores"] == {"overall_score": 0.9}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "text/plain"),
        (b"OK", "text/plain"),
        (b"<html>", "text/html"),
        (b"[1]", "application/json"),
        (b"1", "text/json"),
    ],
)
async def test_a_job_that_was_taken_without_a_word_that_counts_is_taken(body: bytes, media_type: str) -> None:
    assert await answer_to(accepted(body, media_type)) == {}


@pytest.mark.parametrize("code", [400, 409, 413, 415, 422, 451])
async def test_a_refusal_is_for_good(code: int) -> None:
    with pytest.raises(TakeRefused):
        await answer_to(status(code))


@pytest.mark.parametrize("code", [301, 307, 401, 403, 404, 405, 408, 410, 500, 502, 503, 504])
async def test_an_error_of_the_server_or_a_wrong_address_may_go_away(code: int) -> None:
    with pytest.raises(ServerFailed) as failure:
        await answer_to(status(code, Location="http://10.0.0.7/elsewhere"))
    assert "10.0.0.7" not in failure.value.detail


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (429, {}, None),
        (429, {"Retry_After": "7"}, 7.0),
        (503, {"Retry_After": "0"}, 0.0),
        (429, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (429, {"Retry_After": "-1"}, None),
        (429, {"Retry_After": "²"}, None),
    ],
)
async def test_a_busy_server_may_say_when_to_come_again(code: int, headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(ServerBusy) as busy:
        await answer_to(status(code, **headers))
    assert busy.value.seconds == seconds


@pytest.mark.parametrize(
    "behaviour",
    [
        garbage(),
        break_off(),
        accepted(b"[" * 4000),
        accepted(b'{"scores": "' + b"x" * MAX_BYTES + b'"}'),
        accepted(b"\xff\xfe", "application/problem+json"),
    ],
    ids=["cut off", "connection broken", "nested too deep", "too large", "not even text"],
)
async def test_garbage_is_a_failure(behaviour: Behaviour) -> None:
    with pytest.raises(ServerFailed):
        await answer_to(behaviour)


async def test_a_server_that_says_nothing_is_not_waited_for_longer_than_that() -> None:
    with pytest.raises(ServerSilent):
        await answer_to(hang(), answer_seconds=0.05)


async def test_nobody_at_home() -> None:
    async with AnalysisServer() as server:
        pass
    async with asking(server.line_url) as client:
        assert not await client.reachable()
        with pytest.raises(ServerUnreachable):
            await client.ask(b"request_data=%7B%7D")


async def test_somebody_at_home() -> None:
    async with AnalysisServer() as server, asking(server.line_url) as client:
        assert await client.reachable()
        assert server.asked == []


async def test_a_server_that_was_started_again_is_asked_over_a_new_connection() -> None:
    form = encoded(form_of(work(Priority.HIGH, audio_uri="s3://yousync/take.wav")))
    server = AnalysisServer()
    async with server:
        client = HttpServer(
            server.line_url, media_type=MEDIA_TYPE, connections=1, connect_seconds=1, answer_seconds=5, max_bytes=MAX_BYTES
        )
        await client.ask(form)
    async with server:
        assert "scores" in await client.ask(form)
    await client.close()

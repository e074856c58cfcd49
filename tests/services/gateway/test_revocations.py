"""A session that ended is over at every gateway: at once where it was heard, and where it was not as soon as auth says so."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import httpx
import pytest

from libs.common.bus.base import Message
from libs.common.bus.memory import MemoryBus
from libs.common.contracts.auth import SessionRevoked
from services.gateway import revocations as module
from services.gateway.limits import Limits
from services.gateway.revocations import PATH, Revocations, RevocationsUnknown
from services.gateway.routes import Service
from tests.services.gateway.conftest import JOB, PATIENCE, Fake, FakeNotifier, NewGateway, answer
from tests.services.gateway.test_callers import KEY, token
from tests.services.gateway.test_streams import PROGRESS, UNKNOWN_JOB, ids, open_stream

ENDED = {"status": 401, "code": "session_ended", "detail": "세션이 종료되었습니다. 다시 로그인해 주세요."}
FIRST, SECOND = "5e55" * 8, "0123" * 8
ORIGIN = "http://localhost:3000"


def bearer(session: str = FIRST, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sid=session, **claims)}"}


def event(session: str = FIRST, *, seconds: float = 60) -> Message:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    revoked = SessionRevoked(session_id=session, user_id=7, reason="logout", tokens_until=until)
    return Message.of(revoked, source="/auth", subject=f"session:{session}")


def listed(*sessions: str, more_after: str | None = None) -> dict[str, Any]:
    until = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    return {"sessions": [{"session_id": each, "tokens_until": until} for each in sessions], "more_after": more_after}


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture
def auth(fakes: dict[str, Fake]) -> Fake:
    auth = fakes["auth"]
    auth.documents["/.well-known/jwks.json"] = {"keys": [KEY.as_dict(private=False)]}
    return auth


@pytest.fixture
async def replica(new_gateway: NewGateway, auth: Fake) -> httpx.AsyncClient:
    """A gateway that knows the keys and that nothing has ended."""
    gateway = await new_gateway()
    assert (await gateway.get("/api/tokens/1", headers=bearer("0" * 32))).status_code == 404
    return gateway


def is_over(response: httpx.Response) -> bool:
    said: dict[str, Any] = response.json()
    return response.status_code == 401 and ENDED.items() <= said.items()


# At the door


async def test_what_was_heard_counts_at_once_whatever_is_asked(
    replica: httpx.AsyncClient, bus: MemoryBus, catalog: Fake
) -> None:
    before = len(catalog.asked)
    await bus.publish(event())
    for method, path in (
        ("GET", "/api/tokens/1"),
        ("DELETE", "/api/mypage/bookmarks/1"),
        ("GET", "/api/auth/me"),
        ("GET", "/"),
    ):
        response = await replica.request(method, path, headers={**bearer(), "Origin": ORIGIN})
        assert is_over(response), (method, path, response.text)
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.headers["access-control-allow-origin"] == ORIGIN
    assert len(catalog.asked) == before
    assert (await replica.get("/api/tokens/1", headers=bearer(SECOND))).status_code == 404
    assert (await replica.get("/api/tokens/1")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/refresh/"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/google-login"),
        ("POST", "/api/auth/token"),
        ("GET", "/.well-known/jwks.json"),
    ],
)
async def test_whoever_wants_to_go_on_or_begin_anew_reaches_auth(
    replica: httpx.AsyncClient, bus: MemoryBus, auth: Fake, method: str, path: str
) -> None:
    async def says_so(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 418, b"auth")

    auth.app = says_so
    await bus.publish(event())
    assert (await replica.request(method, path, headers=bearer())).status_code == 418


@pytest.mark.parametrize("path", ["/api/auth/me/export", "/api/auth/refresh/x", "/api/auth/refreshing", "/x/api/auth/refresh"])
async def test_nothing_else_beside_it_does(replica: httpx.AsyncClient, bus: MemoryBus, path: str) -> None:
    await bus.publish(event())
    assert is_over(await replica.post(path, headers=bearer()))


async def test_a_token_that_was_verified_before_is_refused_like_any_other(replica: httpx.AsyncClient, bus: MemoryBus) -> None:
    same = bearer()
    assert (await replica.get("/api/tokens/1", headers=same)).status_code == 404
    await bus.publish(event())
    assert is_over(await replica.get("/api/tokens/1", headers=same))


async def test_it_is_refused_however_the_header_is_written(replica: httpx.AsyncClient, bus: MemoryBus) -> None:
    await bus.publish(event())
    for scheme in ("bearer ", "BEARER    "):
        given = bearer()["Authorization"].replace("Bearer ", scheme)
        assert is_over(await replica.get("/api/tokens/1/", headers={"authorization": given}))


# Open streams


async def test_streams_of_the_session_end_and_say_why_and_the_token_opens_none_again(
    replica: httpx.AsyncClient, bus: MemoryBus, notifier: FakeNotifier
) -> None:
    await notifier.tell()
    async with (
        open_stream(replica, **bearer()) as ended,
        open_stream(replica, **bearer(SECOND)) as other,
        open_stream(replica) as anonymous,
    ):
        for client in (ended, other, anonymous):
            await client.frames(1)
        await bus.publish(event())
        last = (await ended.rest()).split(b"\n\n")[-2]
        assert last.startswith(b"data: ")
        assert json.loads(last.removeprefix(b"data: ")) == {
            "status": "error",
            "error": ENDED["detail"],
            "code": "session_ended",
            "job_id": JOB,
            "message": ENDED["detail"],
            "result": None,
        }
        response = await replica.get(PROGRESS, headers={**bearer(), "Last-Event-ID": "1"})
        assert is_over(response)
        await notifier.tell(final=True)
        assert ids(await other.rest()) == ids(await anonymous.rest()) == [1, 2]


async def test_a_session_that_ends_while_its_stream_opens_ends_it(
    replica: httpx.AsyncClient, bus: MemoryBus, notifier: FakeNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.tell()
    opening, held = asyncio.Event(), asyncio.Event()
    passing = Limits.__call__

    async def dawdle(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == PROGRESS:
            opening.set()
            await held.wait()
        await passing(self, scope, receive, send)

    monkeypatch.setattr(Limits, "__call__", dawdle)
    getting = asyncio.create_task(replica.get(PROGRESS, headers=bearer()))
    async with asyncio.timeout(PATIENCE):
        await opening.wait()
    await bus.publish(event())
    held.set()
    response = await getting
    assert response.status_code == 200
    assert b"session_ended" in response.content


async def test_a_stream_ends_with_its_token_and_the_next_one_goes_on(
    new_gateway: NewGateway, notifier: FakeNotifier, auth: Fake
) -> None:
    gateway = await new_gateway(heartbeat_seconds=0.064)
    await notifier.tell()
    async with open_stream(gateway, **bearer(exp=int(time.time()))) as client:  # within what clocks may differ
        assert ids(await client.rest()) == [1]
    async with open_stream(gateway, Last_Event_ID="1", **bearer()) as client:
        await notifier.tell(final=True)
        assert ids(await client.rest()) == [2]


@pytest.mark.parametrize(
    ("owner", "claims", "seen"),
    [(7, {}, True), (8, {}, False), (8, {"admin": True}, True), (None, {}, True)],
    ids=["own", "somebody else's", "administrator", "nobody's"],
)
async def test_fault_24_whoever_shows_a_sign_in_opens_only_what_is_theirs(
    replica: httpx.AsyncClient,
    notifier: FakeNotifier,
    audio: Fake,
    owner: int | None,
    claims: dict[str, Any],
    seen: bool,
) -> None:
    await notifier.tell(final=True)
    summary = {"job_id": JOB, "sequence": 1, "status": "completed", "progress": 100, "message": "x", "result": None}
    audio.documents[f"/internal/jobs/{JOB}"] = {**summary, "user_id": owner}
    async with open_stream(replica, **bearer(SECOND, **claims)) as client:
        text = await client.rest()
    assert ids(text) == ([1] if seen else [])
    assert (text == UNKNOWN_JOB) is not seen
    assert b"user_id" not in text


# What was not heard


class Auth:
    """Answers pages of what ended, or not at all."""

    def __init__(self, *pages: dict[str, Any], away: bool = False) -> None:
        self.pages = list(pages) or [listed()]
        self.away = away
        self.asked: list[str] = []

    async def get_json(self, service: Service, path: str, *, query: str = "") -> Any:
        self.asked.append(query)
        assert (service, path) == (Service.AUTH, PATH)
        if self.away:
            raise aiohttp.ClientConnectionError
        return self.pages[min(len(self.asked), len(self.pages)) - 1]


class Bus(MemoryBus):
    """One that may be away without being told."""

    away = False

    @property
    def connected(self) -> bool:
        return not self.away and super().connected

    async def listen(self, patterns: Any, handler: Any, *, on_reconnect: Any = None) -> Any:
        self.come_back = on_reconnect
        return await super().listen(patterns, handler, on_reconnect=on_reconnect)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)


@asynccontextmanager
async def running(auth: Auth, bus: MemoryBus, *, listening: bool = True) -> AsyncIterator[Revocations]:
    """The list of one replica, kept."""
    revocations = Revocations(bus, auth, on_revoked=lambda _: None)
    await bus.start()
    if listening:
        await revocations.listen()
    keeping = asyncio.create_task(revocations.keep_current())
    yield revocations
    keeping.cancel()
    await revocations.close()
    await bus.close()


async def test_a_replica_that_starts_reads_all_pages_and_says_ready_then() -> None:
    auth = Auth(listed(FIRST, more_after=FIRST), listed(SECOND), listed())
    revocations = Revocations(MemoryBus(), auth, on_revoked=lambda _: None)
    with pytest.raises(RevocationsUnknown):
        await revocations.check()
    async with running(auth, MemoryBus()) as revocations:
        await eventually(lambda: FIRST in revocations and SECOND in revocations)
        await revocations.check()
    assert auth.asked[:2] == ["after=", f"after={FIRST}"]


async def test_while_auth_is_away_it_is_asked_again_and_bearers_wait_for_the_first_answer() -> None:
    auth = Auth(listed(FIRST), away=True)
    async with running(auth, MemoryBus()) as revocations:
        waiting = asyncio.create_task(revocations.settled())
        await eventually(lambda: len(auth.asked) >= 3)
        assert not waiting.done()
        with pytest.raises(RevocationsUnknown):
            await revocations.check()
        auth.away = False
        await waiting
        assert FIRST in revocations


async def test_nobody_waits_for_ever_for_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.02)
    async with running(Auth(away=True), MemoryBus()) as revocations:
        async with asyncio.timeout(PATIENCE):
            await revocations.settled()
            await revocations.settled()


async def test_while_the_bus_is_away_auth_is_asked_again_and_again() -> None:
    auth, bus = Auth(listed(), listed(), listed(), listed(FIRST)), Bus()
    async with running(auth, bus) as revocations:
        bus.away = True
        await eventually(lambda: FIRST in revocations)
    assert auth.asked[-1] == "after=&within_seconds=61"  # since the reading before, and a minute


async def test_a_replica_that_starts_without_a_bus_reads() -> None:
    auth, bus = Auth(listed(), listed(), listed(FIRST)), Bus()
    bus.away = True
    async with running(auth, bus, listening=False) as revocations:
        await eventually(lambda: FIRST in revocations)


async def test_when_the_bus_is_back_what_was_missed_is_read() -> None:
    auth, bus = Auth(listed(), listed()), Bus()
    async with running(auth, bus) as revocations:
        await eventually(lambda: len(auth.asked) >= 1)
        await asyncio.sleep(0.05)
        before = len(auth.asked)
        auth.pages = [listed(FIRST)]
        await bus.come_back()
        await eventually(lambda: FIRST in revocations)
        assert len(auth.asked) == before + 1


async def test_what_the_bus_lost_is_read_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)
    auth = Auth(listed(), listed(), listed(FIRST))
    async with running(auth, Bus()) as revocations:
        await eventually(lambda: FIRST in revocations)


async def test_while_both_are_away_what_is_known_goes_on() -> None:
    auth, bus = Auth(listed(FIRST)), Bus()
    async with running(auth, bus) as revocations:
        await eventually(lambda: FIRST in revocations)
        auth.away = bus.away = True
        asked = len(auth.asked)
        await eventually(lambda: len(auth.asked) >= asked + 3)
        assert FIRST in revocations
        await revocations.check()


@pytest.mark.parametrize("page", [None, [], {}, {"sessions": [{"session_id": 1}]}, {"sessions": [{"session_id": FIRST}]}])
async def test_an_answer_that_is_no_list_is_none(page: Any) -> None:
    auth = Auth(page)
    async with running(auth, MemoryBus()) as revocations:
        await eventually(lambda: len(auth.asked) >= 2)
        with pytest.raises(RevocationsUnknown):
            await revocations.check()


async def test_a_session_is_forgotten_with_its_last_token_and_heard_of_once() -> None:
    bus, ended = MemoryBus(), list[str]()
    await bus.start()
    revocations = Revocations(bus, Auth(), on_revoked=ended.append)
    await revocations.listen()
    for message in (event(FIRST, seconds=-1), event(SECOND), event(SECOND)):
        await bus.publish(message)
    await eventually(lambda: SECOND in revocations)
    assert FIRST in revocations
    keeping = asyncio.create_task(revocations.keep_current())
    await eventually(lambda: FIRST not in revocations)
    assert SECOND in revocations
    assert ended == [FIRST, SECOND]
    keeping.cancel()
    await bus.close()


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    many = [f"{number:032x}" for number in range(3)]
    auth = Auth(listed(*many))
    async with running(auth, MemoryBus()) as revocations:
        await eventually(lambda: many[2] in revocations)
        assert [each in revocations for each in many] == [False, True, True]


async def test_a_gateway_that_does_not_know_what_ended_says_so(new_gateway: NewGateway, auth: Fake) -> None:
    del auth.documents[PATH]
    gateway = await new_gateway()
    response = await gateway.get("/health/ready")
    assert (response.status_code, response.json()["checks"]["revocations"]) == (503, "unavailable (RevocationsUnknown)")
    auth.documents[PATH] = listed(FIRST)
    assert is_over(await gateway.get("/api/tokens/1", headers=bearer()))
    assert (await gateway.get("/health/ready")).json()["checks"]["revocations"] == "ok"


async def test_a_forged_token_of_a_session_that_ended_is_just_a_bad_one(replica: httpx.AsyncClient, bus: MemoryBus) -> None:
    await bus.publish(event())
    forged = {"Authorization": bearer()["Authorization"][:-10] + "AAAAAAAAAA"}
    assert (await replica.get("/api/tokens/1", headers=forged)).status_code == 404

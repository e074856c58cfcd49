"""Names of people decorate answers: they are never waited for long, and never the reason for a failure."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from libs.common import people
from libs.common.people import People, Person

ALICE: dict[str, Any] = {"id": 1, "full_name": "Alice Kim", "profile_picture": "https://pics.example.org/a.png"}
BOB: dict[str, Any] = {"id": 2, "full_name": None}


class Auth:
    """Answers as `auth` does, from `accounts`; or with `content`, or by raising `error`, or never."""

    def __init__(self) -> None:
        self.accounts = [ALICE, BOB]
        self.asked: list[str] = []
        self.content: bytes | None = None
        self.error: Exception | None = None
        self.hangs = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params["ids"])
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        if self.content is not None:
            return httpx.Response(200, content=self.content)
        wanted = request.url.params["ids"].split(",")
        return httpx.Response(200, json=[each for each in self.accounts if str(each["id"]) in wanted])


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
async def known(auth: Auth) -> AsyncIterator[People]:
    known = People(httpx.AsyncClient(transport=httpx.MockTransport(auth), base_url="http://auth"))
    yield known
    await known.close()


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is never fresh."""
    monkeypatch.setattr(people, "FRESH_SECONDS", 0.0)


async def test_people_are_asked_for_once_and_remembered(known: People, auth: Auth) -> None:
    expected = {1: Person(**ALICE), 2: Person(id=2)}
    assert await known.named([2, 1, 1]) == expected
    assert await known.named([1, 2]) == expected
    assert await known.named([]) == {}
    assert auth.asked == ["1,2"]


async def test_an_id_of_nobody_is_left_out(known: People) -> None:
    assert (await known.named([1, 7])).keys() == {1}


@pytest.mark.usefixtures("forgetful")
async def test_a_new_name_is_seen_later_and_who_is_gone_is_forgotten(known: People, auth: Auth) -> None:
    await known.named([1, 2])
    auth.accounts = [{**ALICE, "full_name": "Alice Lee"}]
    assert await known.named([1, 2]) == {1: Person(**{**ALICE, "full_name": "Alice Lee"})}


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"id": 1}', b'[{"full_name": "Eve"}]', b"\xff"])
async def test_garbage_from_auth_names_nobody(known: People, auth: Auth, content: bytes) -> None:
    auth.content = content
    assert await known.named([1]) == {}


@pytest.mark.usefixtures("forgetful")
async def test_the_last_known_name_is_shown_while_auth_is_away(known: People, auth: Auth) -> None:
    await known.named([1])
    auth.error = httpx.ConnectError("refused")
    assert await known.named([1, 2]) == {1: Person(**ALICE)}


async def test_nobody_waits_for_auth_when_it_hangs(known: People, auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "ANSWER_SECONDS", 0.01)
    auth.hangs = True
    assert await known.named([1]) == {}


async def test_memory_is_bounded(known: People, auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "REMEMBERED", 1)
    await known.named([1])
    await known.named([2])
    await known.named([1])
    assert auth.asked == ["1", "2", "1"]

"""Video requests: one under review per person, decided by administrators, deleted by their author when rejected."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from libs.common.people import People, Person
from tests.services.catalog.conftest import bearer

PATH = "/api/request"
ALICE, BOB, ADMIN = bearer(1), bearer(2), bearer(9, admin=True)
WISH = {"actor": "Tom", "content": "please\nthe bar scene", "url": "https://youtu.be/x"}
UNDER_REVIEW, APPROVED, REJECTED = "심사중", "승인됨", "거절됨"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """What auth says that people are called."""
    names = {1: "Alice Kim", 2: "Bob Lee"}

    async def named(self: People, user_ids: Iterable[int]) -> dict[int, Person]:
        return {each: Person(id=each, full_name=names[each]) for each in user_ids if each in names}

    monkeypatch.setattr(People, "named", named)
    return names


async def ask(client: httpx.AsyncClient, caller: dict[str, str] = ALICE, /, **changes: object) -> httpx.Response:
    return await client.post(PATH, json={**WISH, **changes}, headers=caller)


async def decide(
    client: httpx.AsyncClient, request_id: object, status: object, caller: dict[str, str] = ADMIN
) -> httpx.Response:
    return await client.patch(f"{PATH}/{request_id}/status", json={"status": status}, headers=caller)


async def listed(client: httpx.AsyncClient, which: str, caller: dict[str, str] = ALICE, **page: int) -> list[dict[str, Any]]:
    answer = await client.get(f"{PATH}/{which}", params=page, headers=caller)
    assert answer.status_code == 200
    requests: list[dict[str, Any]] = answer.json()
    return requests


async def test_a_request_is_answered_as_the_contract_has_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH + "/", json=WISH, headers=ALICE)
    assert answer.status_code == 200
    request = answer.json()
    assert request["date"].endswith("Z")
    assert request == {"id": 1, **WISH, "status": UNDER_REVIEW, "date": request["date"], "requester": "Alice Kim"}
    assert await listed(client, "mine") == [request]


async def test_a_second_request_waits_until_the_first_is_decided(client: httpx.AsyncClient) -> None:
    await ask(client)
    answer = await ask(client)
    assert (answer.status_code, answer.json()["detail"]) == (400, "이미 심사중인 요청이 있습니다.")
    assert (await ask(client, BOB)).status_code == 200
    for decided in (APPROVED, REJECTED):
        newest = (await listed(client, "mine"))[0]
        assert (await decide(client, newest["id"], decided)).status_code == 200
        assert (await ask(client)).status_code == 200
    assert [each["status"] for each in await listed(client, "mine")] == [UNDER_REVIEW, REJECTED, APPROVED]


async def test_of_many_at_once_one_is_made(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(ask(client) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]
    assert len(await listed(client, "mine")) == 1


async def test_a_field_that_cannot_be_is_named(client: httpx.AsyncClient) -> None:
    for field, value in (
        ("actor", " "),
        ("actor", "x" * 201),
        ("actor", "a\x00b"),
        ("actor", None),
        ("content", "x" * 5001),
        ("content", "\x07"),
        ("content", 7),
        ("url", ""),
        ("url", "youtu.be/x"),
        ("url", "javascript:alert(1)"),
        ("url", "ftp://youtu.be/x"),
        ("url", "https://[::1"),
        ("url", "https:///x"),
        ("url", f"https://youtu.be/{'x' * 2048}"),
    ):
        answer = await ask(client, ALICE, **{field: value})
        assert answer.status_code == 422, (field, value)
        assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert await listed(client, "mine") == []


async def test_half_of_a_surrogate_pair_is_named(client: httpx.AsyncClient) -> None:
    body = rb'{"actor": "\ud800", "content": "", "url": "https://youtu.be/x"}'
    answer = await client.post(PATH, content=body, headers={**ALICE, "Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "actor"]


async def test_blanks_around_a_pasted_address_are_dropped_and_a_note_may_be_empty(client: httpx.AsyncClient) -> None:
    request = (await ask(client, url=" https://youtu.be/x\n", content=" ")).json()
    assert (request["url"], request["content"]) == ("https://youtu.be/x", "")


async def test_lists_show_the_newest_first_in_pages(client: httpx.AsyncClient) -> None:
    for caller in (ALICE, BOB, bearer(3)):
        await ask(client, caller)
    assert [each["id"] for each in await listed(client, "all")] == [3, 2, 1]
    assert [each["id"] for each in await listed(client, "all", limit=1, offset=1)] == [2]
    assert [each["id"] for each in await listed(client, "mine", BOB)] == [2]
    assert await listed(client, "mine", bearer(4)) == []
    for which in ("mine", "all"):
        for page in ("limit=0", "limit=101", "offset=-1", f"offset={2**31}"):
            assert (await client.get(f"{PATH}/{which}?{page}", headers=ALICE)).status_code == 422


async def test_only_administrators_see_who_others_are(client: httpx.AsyncClient, names: dict[int, str]) -> None:
    for caller in (ALICE, BOB, bearer(3)):
        await ask(client, caller)
    assert [each["requester"] for each in await listed(client, "all", ALICE)] == [None, None, "Alice Kim"]
    assert [each["requester"] for each in await listed(client, "all", ADMIN)] == [None, "Bob Lee", "Alice Kim"]
    names.clear()  # auth is away
    assert [each["requester"] for each in await listed(client, "all", ADMIN)] == [None, None, None]


# Review


async def test_an_administrator_decides(client: httpx.AsyncClient) -> None:
    await ask(client)
    for status in (APPROVED, APPROVED, REJECTED, UNDER_REVIEW):
        answer = await decide(client, 1, status)
        assert (answer.status_code, answer.json()) == (200, {"detail": "상태가 변경되었습니다."})
        assert (await listed(client, "mine"))[0]["status"] == status


async def test_nobody_else_decides(client: httpx.AsyncClient) -> None:
    await ask(client)
    for request_id, status in ((1, APPROVED), (8, "x"), (1, None)):
        answer = await decide(client, request_id, status, ALICE)
        assert (answer.status_code, answer.json()["detail"]) == (403, "관리자만 상태 변경 가능")
    assert (await decide(client, 1, APPROVED, {})).status_code == 401
    assert (await listed(client, "mine"))[0]["status"] == UNDER_REVIEW


async def test_a_status_that_there_is_not_is_refused(client: httpx.AsyncClient) -> None:
    await ask(client)
    for word in ("approved", "", " 승인됨", "승인됨\x00"):
        answer = await decide(client, 1, word)
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_status")
    for no_word in (None, 1, [APPROVED]):
        assert (await decide(client, 1, no_word)).status_code == 422
    assert (await listed(client, "mine"))[0]["status"] == UNDER_REVIEW


async def test_a_request_that_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    for request_id in (8, 0, -1, 2**31, 2**70):
        for answer in (await decide(client, request_id, APPROVED), await client.delete(f"{PATH}/{request_id}", headers=ALICE)):
            assert (answer.status_code, answer.json()["detail"]) == (404, "요청을 찾을 수 없습니다.")


async def test_a_decision_cannot_bring_two_of_one_person_under_review(client: httpx.AsyncClient) -> None:
    await ask(client)
    await decide(client, 1, REJECTED)
    await ask(client)
    answer = await decide(client, 1, UNDER_REVIEW)
    assert (answer.status_code, answer.json()["code"]) == (400, "already_under_review")
    assert [each["status"] for each in await listed(client, "mine")] == [UNDER_REVIEW, REJECTED]


# Deleting


async def test_its_author_deletes_a_rejected_request(client: httpx.AsyncClient) -> None:
    await ask(client)
    for status in (UNDER_REVIEW, APPROVED):
        await decide(client, 1, status)
        answer = await client.delete(f"{PATH}/1", headers=ALICE)
        assert (answer.status_code, answer.json()["detail"]) == (400, "거절된 요청만 삭제할 수 있습니다.")
    await decide(client, 1, REJECTED)
    answer = await client.delete(f"{PATH}/1/", headers=ALICE)
    assert (answer.status_code, answer.json()) == (200, {"detail": "요청이 삭제되었습니다."})
    assert await listed(client, "mine") == []
    assert (await client.delete(f"{PATH}/1", headers=ALICE)).status_code == 404


async def test_requests_of_others_are_as_if_they_were_not_there(client: httpx.AsyncClient) -> None:
    await ask(client)
    await decide(client, 1, REJECTED)
    for caller in (BOB, ADMIN):
        assert (await client.delete(f"{PATH}/1", headers=caller)).status_code == 404
    assert len(await listed(client, "mine")) == 1


async def test_requests_need_a_login(client: httpx.AsyncClient) -> None:
    calls = [("POST", ""), ("GET", "/mine"), ("GET", "/all"), ("PATCH", "/1/status"), ("DELETE", "/1")]
    for method, path in calls:
        answer = await client.request(method, PATH + path)
        assert (answer.status_code, answer.json()["detail"]) == (401, "Not authenticated")

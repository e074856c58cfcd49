"""My page of somebody who practises, marks scenes and asks for films; and what is left of it while an owner hangs."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.e2e.flow import speak, until
from tests.e2e.platforms import Embedded, Fleet
from yousync.samples import load_catalog

LEARNER = {"email": "mypage@example.org", "full_name": "마이 페이지"}


@asynccontextmanager
async def signed_in(url: str, **account: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of somebody who has signed in."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        token = (await client.post("/api/auth/dev-login", json=account)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def page_of(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/mypage/overview")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_what_somebody_did_is_on_their_page(embedded: Embedded) -> None:
    line = load_catalog()["scripts"][0]
    token_id = line["token_id"]
    async with signed_in(embedded.url, **LEARNER) as learner:
        empty = await page_of(learner)
        assert (empty["user_info"]["full_name"], empty["unavailable"]) == (LEARNER["full_name"], [])
        assert (empty["recent_bookmarks"], empty["recent_dubbed_tokens"], empty["average_completion_rate"]) == ([], [], 0.0)

        assert (await learner.post("/api/mypage/bookmarks", json={"token_id": token_id})).status_code == 201
        take = await speak(embedded.url, line["id"], email=LEARNER["email"])
        page = await page_of(learner)
        assert (page["total_bookmarks"], page["total_dubbed_tokens"], page["total_practice_count"]) == (1, 1, 1)
        assert page["average_completion_rate"] == pytest.approx(take.result["overall_score"], abs=1e-4)
        assert page["recent_bookmarks"] == (await learner.get("/api/mypage/bookmarks/?limit=100")).json()
        [dubbed] = page["recent_dubbed_tokens"]
        assert (dubbed["token_id"], dubbed["completed_scripts"]) == (token_id, 1)

        assert (await learner.delete(f"/api/mypage/bookmarks/{token_id}")).status_code == 204
        assert (await page_of(learner))["total_bookmarks"] == 0


async def test_a_request_for_a_film_is_reviewed_and_names_its_author_to_whom_it_may_concern(embedded: Embedded) -> None:
    wish = {"actor": "Tom", "content": "please", "url": "https://youtu.be/x"}
    async with (
        signed_in(embedded.url, **LEARNER) as learner,
        signed_in(embedded.url, email="other@example.org") as other,
        signed_in(embedded.url, email="reviewer@example.org", admin=True) as reviewer,
    ):
        request = (await learner.post("/api/request/", json=wish)).json()
        assert (request["status"], request["requester"]) == ("심사중", LEARNER["full_name"])
        for viewer, requester in ((learner, LEARNER["full_name"]), (other, None), (reviewer, LEARNER["full_name"])):
            listed = {each["id"]: each["requester"] for each in (await viewer.get("/api/request/all")).json()}
            assert listed[request["id"]] == requester
        decision = await reviewer.patch(f"/api/request/{request['id']}/status", json={"status": "거절됨"})
        assert decision.json() == {"detail": "상태가 변경되었습니다."}
        assert (await learner.delete(f"/api/request/{request['id']}")).json() == {"detail": "요청이 삭제되었습니다."}


async def test_while_the_catalogue_and_auth_hang_the_rest_of_the_page_is_shown(fleet: Fleet) -> None:
    async with signed_in(fleet.url, **LEARNER) as learner:

        async def is_whole() -> bool:
            return not (await page_of(learner))["unavailable"]

        await until(is_whole)
        try:
            for service in ("auth", "catalog"):
                send(fleet, service, signal.SIGSTOP)
            page = await page_of(learner)
        finally:
            for service in ("auth", "catalog"):
                send(fleet, service, signal.SIGCONT)
        assert page["unavailable"] == ["auth", "catalog"]
        assert page["user_info"]["email"] == LEARNER["email"]
        await until(is_whole)


def send(fleet: Fleet, service: str, number: signal.Signals) -> None:
    """Stop a service in its tracks, or let it go on."""
    os.kill(int((fleet.state_dir / "run" / f"{service}.pid").read_text()), number)

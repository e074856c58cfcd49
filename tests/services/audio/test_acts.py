"""What an administrator does to somebody else's jobs, and who asks for their data, is told to the audit log."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from libs.common.contracts.acts import ActPerformed
from tests.services.audio.house import House, Open, bearer

PLACE = {"User-Agent": "the office", "X-Forwarded-For": "192.0.2.7"}
OWNER, ADMIN = {**bearer(1), **PLACE}, {**bearer(9, admin=True), **PLACE}


@pytest.fixture
async def house(open_house: Open) -> AsyncIterator[House]:
    async with open_house(preprocessing=True) as house:
        yield house


async def told(url: str) -> list[ActPerformed]:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        rows = await connection.execute(sa.text("SELECT body FROM outbox WHERE type = 'act.performed' ORDER BY id"))
        acts = [ActPerformed.model_validate_json(body) for body in rows.scalars()]
    await engine.dispose()
    assert {(act.device, act.network) for act in acts} <= {("the office", "192.0.2.0/24")}
    return acts


async def act_on(house: House, job_id: str, action: str, headers: dict[str, str], status: int) -> None:
    assert (await house.client.post(f"/api/jobs/{job_id}/{action}", headers=headers)).status_code == status


async def test_an_administrators_hand_on_somebody_elses_job_is_told_once(house: House, database_url: str) -> None:
    cancelled = await house.dispatched(headers=OWNER)
    for _ in range(2):
        await act_on(house, cancelled.job_id, "cancel", ADMIN, 200)
    await act_on(house, cancelled.job_id, "retry", ADMIN, 201)
    await act_on(house, cancelled.job_id, "retry", ADMIN, 200)
    acts = await told(database_url)
    thing = f"job:{cancelled.job_id}"
    assert [(act.act, act.user_id, act.account_id, act.thing) for act in acts] == [
        ("job_cancelled", 9, 1, thing),
        ("job_retried", 9, 1, thing),
    ]


async def test_what_people_do_to_their_own_jobs_and_to_those_of_nobody_is_not(house: House, database_url: str) -> None:
    own, nobodys = await house.dispatched(headers=OWNER), await house.dispatched()
    await act_on(house, own.job_id, "cancel", OWNER, 200)
    await act_on(house, own.job_id, "retry", OWNER, 201)
    await act_on(house, nobodys.job_id, "cancel", ADMIN, 200)
    await act_on(house, own.job_id, "cancel", bearer(2), 404)
    assert await told(database_url) == []


async def test_a_film_a_cleanup_and_an_export_are_told_with_who_asked(house: House, database_url: str) -> None:
    film = {"youtube_url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "movie_name": "Inception", "actor_name": "Tom Hardy"}
    job_ids = {(await house.client.post("/api/youtube/process", json=film, headers=ADMIN)).json()["job_id"] for _ in range(2)}
    assert (await house.client.post("/api/scripts/cleanup/anonymous-results", headers=ADMIN)).status_code == 200
    for _ in range(2):
        assert (await house.client.get("/api/auth/me/export", headers=OWNER)).status_code in (200, 202)
    acts = await told(database_url)
    assert [(act.act, act.user_id) for act in acts] == [
        ("film_requested", 9),
        ("anonymous_erased", 9),
        ("export_requested", 1),
    ]
    assert {acts[0].thing} == {f"job:{job_id}" for job_id in job_ids}

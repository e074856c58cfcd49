"""My page: what somebody dubbed, with which results."""

from typing import Any

import httpx
import pytest

from libs.common.contracts.audio import AnalysisReportFailed
from libs.common.contracts.catalog import ScriptDeleted, TokenDeleted
from libs.common.web.service_tokens import HEADER
from tests.callers import as_service
from tests.services.audio.house import FakeCatalog, House, Open, bearer, script
from tests.services.audio.practising import FILM, knowing_scene, known_scene, practise, record, result

DUBBED = "/api/mypage/my-dubbed-tokens"
STATUS = "/api/mypage/tokens/3/analysis-status"


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3 with lines 7, 8, 9."""
    await knowing_scene(house)
    return house


async def get(house: House, path: str, user_id: int = 1) -> Any:
    answer = await house.client.get(path, headers=bearer(user_id))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(house: House, user_id: int = 1) -> list[dict[str, Any]]:
    """Of the analysis status of scene 3."""
    found: list[dict[str, Any]] = (await get(house, STATUS, user_id))["script_results"]
    return found


# --- Dubbed scenes ----------------------------------------------------------------------------------------------------


async def test_a_dubbed_scene_is_listed_as_the_contract_says(scene: House) -> None:
    await practise(scene, 7)
    [token] = await get(scene, DUBBED)
    [take] = await scene.rows("SELECT created_at FROM takes")
    assert token == {
        "token_id": 3,
        "token_name": "Scene 03",
        "actor_name": "Tom Hardy",
        "category": "액션",
        "youtube_url": FILM,
        "last_dubbed_at": take.created_at.isoformat().replace("+00:00", "Z"),
        "total_scripts": 3,
        "completed_scripts": 1,
    }
    assert (await scene.client.get(DUBBED + "/", headers=bearer(1))).json() == [token]


async def test_a_line_counts_once_however_often_it_was_completed_and_not_before(scene: House) -> None:
    for _ in range(3):
        await practise(scene, 7)
    await record(scene, 8)
    failing = await record(scene, 9)
    await scene.tell(
        AnalysisReportFailed(
            job_id=failing.job_id, lease=failing.lease, worker="w", reason="silence", message="", temporary=False
        )
    )
    [token] = await get(scene, DUBBED)
    assert (token["total_scripts"], token["completed_scripts"]) == (3, 1)
    await practise(scene, 9)
    assert [token["completed_scripts"] for token in await get(scene, DUBBED)] == [2]


async def test_a_recording_of_the_whole_scene_completes_all_its_lines(scene: House) -> None:
    await practise(scene, 7)
    await record(scene, None)
    assert [token["completed_scripts"] for token in await get(scene, DUBBED)] == [1]
    await practise(scene, None)
    assert [token["completed_scripts"] for token in await get(scene, DUBBED)] == [3]


async def test_lines_that_are_gone_do_not_count(scene: House) -> None:
    await practise(scene, 7)
    await practise(scene, 8)
    await scene.tell(ScriptDeleted(script_id=8, token_id=3, version=9))
    [token] = await get(scene, DUBBED)
    assert (token["total_scripts"], token["completed_scripts"]) == (2, 1)


async def test_the_newest_comes_first_and_pages_fit_together(scene: House) -> None:
    for token_id in (4, 5):
        await knowing_scene(scene, token_id=token_id, lines=1)
    for script_id in (107, 207, 7, 107):
        await record(scene, script_id)
    pages = [await get(scene, f"{DUBBED}?limit=1&offset={offset}") for offset in range(4)]
    assert [[token["token_id"] for token in page] for page in pages] == [[4], [3], [5], []]
    assert [token["token_id"] for token in await get(scene, DUBBED)] == [4, 3, 5]


async def test_a_page_that_cannot_be_is_refused(house: House) -> None:
    for query in ("limit=0", "limit=101", "limit=a", "offset=-1", f"offset={2**31}", f"offset={10**40}"):
        answer = await house.client.get(f"{DUBBED}?{query}", headers=bearer(1))
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["query", query.split("=")[0]]


async def test_a_deleted_scene_stays_with_the_names_that_it_had(scene: House) -> None:
    await practise(scene, 7)
    await scene.tell(TokenDeleted(token_id=3, version=9))
    for script_id in (7, 8, 9):
        await scene.tell(ScriptDeleted(script_id=script_id, token_id=3, version=9))
    [token] = await get(scene, DUBBED)
    assert (token["token_name"], token["youtube_url"]) == ("Scene 03", FILM)
    assert (token["total_scripts"], token["completed_scripts"]) == (3, 1)
    assert [(row["script_text"], row["has_result"]) for row in await rows(scene)] == [
        ("line 1", True),
        ("line 2", False),
        ("line 3", False),
    ]
    assert (await scene.client.get(STATUS, headers=bearer(2))).status_code == 404


async def test_a_scene_that_our_copies_lack_is_asked_for_once(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        await practise(house, 7)
        catalog.knows(known_scene(), script(7), script(8))
        for _ in range(2):
            [token] = await get(house, DUBBED)
            assert (token["token_name"], token["category"], token["total_scripts"]) == ("Scene 03", "액션", 2)
        assert catalog.asked == [3]


async def test_a_copy_that_is_older_than_films_in_events_is_completed(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        await house.tell(known_scene(youtube_url=None, category=None, version=4))
        await practise(house, 7)
        catalog.knows(known_scene(version=4), script(7))
        for _ in range(2):
            assert [(token["youtube_url"], token["category"]) for token in await get(house, DUBBED)] == [(FILM, "액션")]
        assert catalog.asked == [3]


async def test_a_scene_that_nobody_can_describe_is_listed_without_its_names(house: House) -> None:
    await practise(house, 7)
    [token] = await get(house, DUBBED)
    described = {name: token[name] for name in ("token_id", "token_name", "actor_name", "category", "youtube_url")}
    assert described == {"token_id": 3, "token_name": "", "actor_name": "", "category": None, "youtube_url": None}


# --- Results of a scene -----------------------------------------------------------------------------------------------


async def test_every_line_has_one_row_with_its_own_newest_result(scene: House) -> None:
    await practise(scene, 7, 0.1)
    job_id = await practise(scene, 7, 0.9)
    await practise(scene, 9, 0.5)
    await record(scene, 7)  # not finished: the result before it counts
    [job] = await scene.rows(f"SELECT created_at FROM jobs WHERE id = '{job_id}'")
    status = await get(scene, STATUS)
    assert (status["token_id"], status["has_analysis"]) == (3, True)
    first, second, third = status["script_results"]
    assert first == {
        "script_id": 7,
        "script_text": "line 1",
        "has_result": True,
        "job_id": job_id,
        "status": "completed",
        "result": result(0.9),
        "created_at": job.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert second == {"script_id": 8, "script_text": "line 2", "has_result": False}
    assert (third["script_id"], third["result"]) == (9, result(0.5))


async def test_the_whole_scene_is_a_row_of_its_own_behind_the_lines(scene: House) -> None:
    job_id = await practise(scene, None, 0.7)
    *lines, whole = await rows(scene)
    assert [line["has_result"] for line in lines] == [False] * 3
    assert (whole["script_id"], whole["script_text"], whole["job_id"]) == (None, "line 1 line 2 line 3", job_id)
    assert whole["result"] == result(0.7)


async def test_lines_are_shown_without_any_result(scene: House) -> None:
    status = await get(scene, STATUS)
    assert status["has_analysis"] is False
    assert [row["has_result"] for row in status["script_results"]] == [False] * 3


async def test_what_others_recorded_is_invisible(scene: House) -> None:
    await practise(scene, 7, user_id=2)
    answer = await scene.upload()  # by nobody
    assert answer.status_code == 200
    assert await get(scene, DUBBED) == []
    assert [row["has_result"] for row in await rows(scene)] == [False] * 3
    assert [row["has_result"] for row in await rows(scene, user_id=2)] == [True, False, False]


async def test_an_unknown_scene_has_no_status(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        for token_id in (0, -1, 4, 2**31, 10**30):
            answer = await house.client.get(f"/api/mypage/tokens/{token_id}/analysis-status", headers=bearer(1))
            assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")


async def test_a_scene_is_asked_for_when_its_lines_are_not_known(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:  # it knows line 7 only
        catalog.knows(known_scene(), script(7), script(8))
        for _ in range(2):
            assert [row["script_id"] for row in await rows(house)] == [7, 8]
        assert catalog.asked == [3]


async def test_without_the_catalogue_the_lines_that_are_known_are_shown(house: House) -> None:
    await practise(house, 7)
    assert [row["script_id"] for row in await rows(house)] == [7]
    answer = await house.client.get("/api/mypage/tokens/4/analysis-status", headers=bearer(1))
    assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")


# --- The overview's part ----------------------------------------------------------------------------------------------


async def practice(house: House, user_id: int | str = 1) -> httpx.Response:
    return await house.client.get(f"/internal/users/{user_id}/practice", headers=as_service("gateway", "audio"))


async def test_an_overview_counts_recordings_and_averages_results(scene: House) -> None:
    await knowing_scene(scene, token_id=4, lines=1)
    for script_id, score in ((7, 0.5), (7, 0.9), (107, 1)):
        await practise(scene, script_id, score)
    await record(scene, 8)
    await practise(scene, 7, 0.1, user_id=2)
    body = (await practice(scene)).json()
    assert [token["token_id"] for token in body.pop("recent")] == [3, 4]
    assert body == {"total_dubbed_tokens": 2, "total_practice_count": 4, "average_completion_rate": 0.8}


async def test_an_overview_of_somebody_who_never_practised_is_empty(house: House) -> None:
    assert (await practice(house)).json() == {
        "total_dubbed_tokens": 0,
        "total_practice_count": 0,
        "average_completion_rate": 0.0,
        "recent": [],
    }


async def test_an_overview_shows_the_twenty_newest_scenes(house: House) -> None:
    await house.rows(
        "INSERT INTO takes SELECT gen_random_uuid(), 1, n, n, 'k' || n, 'audio/wav', 1, '', now() + n * interval '1 s'"
        " FROM generate_series(1, 25) AS n"
    )
    body = (await practice(house)).json()
    assert [token["token_id"] for token in body["recent"]] == list(range(25, 5, -1))
    assert body["total_dubbed_tokens"] == 25


async def test_an_overview_is_for_services_only(house: House) -> None:
    for headers in ({}, {HEADER: "guess"}, bearer(1, admin=True)):
        assert (await house.client.get("/internal/users/1/practice", headers=headers)).status_code == 403
    for user_id in ("0", "-1", "x", str(2**31)):
        assert (await practice(house, user_id)).status_code == 422


async def test_my_page_is_for_who_is_signed_in(house: House) -> None:
    for path in (DUBBED, STATUS):
        for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer nonsense"}):
            assert (await house.client.get(path, headers=headers)).status_code == 401

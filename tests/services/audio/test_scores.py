"""Scores, means and ranks."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse

from libs.common import people
from libs.common.contracts.catalog import ScriptDeleted
from libs.common.db import Database
from libs.common.people import People, Person
from services.audio.mypage import PracticeService
from services.audio.results import overall_score
from services.audio.scores import KEPT_NAMELESS_SECONDS, KEPT_SECONDS, ScoreService
from tests.callers import verifier_of
from tests.services.audio.house import House, Open, bearer, served
from tests.services.audio.practising import knowing_scene, practise, record

AVERAGE, SCENE, TOP = "/api/score/me/average/", "/api/score/3/score/", "/api/score/leaderboard/top-recorders"
NOTHING = (404, "분석 결과가 없습니다.")


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3 with lines 7, 8, 9."""
    await knowing_scene(house)
    return house


async def ask(house: House, path: str, user_id: int = 1) -> tuple[int, Any]:
    """Status, and the answer or the detail of the error."""
    answer = await house.client.get(path, headers=bearer(user_id))
    body = answer.json()
    return answer.status_code, body["detail"] if answer.is_error else body


# --- Scores -----------------------------------------------------------------------------------------------------------


NO_SCORES: list[Any] = [-0.1, 1.1, math.nan, math.inf, True, "0.5", None, [], 10**400]
NO_RESULTS: list[Any] = [None, [], "x", 5, {}, {"result": None}, {"result": [0.5]}, {"overall_score": 0.5}]


@pytest.mark.parametrize("score", [0, 0.82, 1])
def test_a_score_is_a_number_between_0_and_1(score: float) -> None:
    assert overall_score({"result": {"overall_score": score}}) == score


@pytest.mark.parametrize("posted", [*({"result": {"overall_score": score}} for score in NO_SCORES), *NO_RESULTS])
def test_nothing_else_is_a_score(posted: Any) -> None:
    assert overall_score(posted) is None


async def test_the_average_is_that_of_all_results_that_have_a_score(scene: House) -> None:
    assert await ask(scene, AVERAGE) == NOTHING
    await record(scene, 7)
    assert await ask(scene, AVERAGE) == NOTHING
    for script_id, score in ((7, 0.5), (7, 0.6), (8, 0.82), (None, 1)):
        await practise(scene, script_id, score)
    await practise(scene, 7, 0.0, user_id=2)
    assert await ask(scene, AVERAGE) == (200, {"user_id": 1, "average_score": 0.73})


async def test_results_of_any_shape_are_shown_and_those_without_a_score_do_not_count(scene: House) -> None:
    shapes: list[dict[str, Any]] = [
        {"result": []},
        {"result": {"overall_score": "high"}},
        {"result": {"overall_score": 7}},
        {"status": ["?"], "result": {"word_analysis": 5}},
    ]
    for shape in shapes:
        await practise(scene, 7, **shape)
        assert (await ask(scene, "/api/mypage/tokens/3/analysis-status"))[0] == 200
        assert (await ask(scene, "/api/mypage/my-dubbed-tokens"))[0] == 200
    await scene.rows("""UPDATE jobs SET result = '[1, {"result": "x"}, null]' WHERE script_id = 7""")
    status, body = await ask(scene, "/api/mypage/tokens/3/analysis-status")
    assert (status, body["script_results"][0]["result"]) == (200, [1, {"result": "x"}, None])
    assert await ask(scene, AVERAGE) == await ask(scene, SCENE) == NOTHING
    await practise(scene, 8, 0.5)
    assert await ask(scene, AVERAGE) == (200, {"user_id": 1, "average_score": 0.5})


async def test_the_score_of_a_scene_is_the_mean_of_what_its_result_page_shows(scene: House) -> None:
    assert await ask(scene, SCENE) == NOTHING
    await practise(scene, 7, 0.1)
    for script_id, score in ((7, 0.6), (8, 0.9)):
        await practise(scene, script_id, score)
    expected = {"user_id": 1, "token_id": 3, "score": 0.75, "completed_scripts": 2, "total_scripts": 3}
    assert await ask(scene, SCENE) == (200, expected)
    await practise(scene, None, 0.3)
    assert await ask(scene, SCENE) == (200, {**expected, "score": 0.6, "completed_scripts": 3})
    await scene.tell(ScriptDeleted(script_id=8, token_id=3, version=9))
    assert await ask(scene, SCENE) == (200, {**expected, "score": 0.45, "completed_scripts": 2, "total_scripts": 2})
    assert await ask(scene, SCENE, user_id=2) == NOTHING


async def test_a_scene_that_is_none_has_no_score(scene: House) -> None:
    for token_id in (0, -1, 2**31, 10**30):
        assert await ask(scene, f"/api/score/{token_id}/score/") == (404, "Token not found")
    assert (await ask(scene, "/api/score/x/score/"))[0] == 422


async def test_scores_are_for_who_is_signed_in(house: House) -> None:
    for path in (AVERAGE, SCENE):
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            assert (await house.client.get(path, headers=headers)).status_code == 401


# --- The leaderboard --------------------------------------------------------------------------------------------------


class FakeAuth:
    """Answers like `auth`; `url` is where."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Any = []
        self.asked: list[str] = []
        self.callers: set[str] = set()

    def app(self) -> FastAPI:
        """GET /internal/users."""
        app = FastAPI()

        @app.get("/internal/users")
        async def users(ids: str, x_service_token: str = Header()) -> JSONResponse:
            self.asked.append(ids)
            self.callers.add(verifier_of("auth").caller(x_service_token))
            return JSONResponse(self.answer)

        return app


@pytest.fixture
async def auth() -> AsyncIterator[FakeAuth]:
    fake = FakeAuth()
    async with served(fake.app()) as url:
        fake.url = url
        yield fake


async def recordings(house: House, **numbers: int) -> None:
    """`u5=2`: user 5 has two; `u0` is nobody."""
    for name, number in numbers.items():
        await house.rows(
            f"INSERT INTO takes SELECT id, nullif({name[1:]}, 0), 3, 7, id::text, 'audio/wav', 1, '', now()"
            f" FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {number})) AS ids"
        )


async def test_the_leaderboard_shows_the_first_three_with_names_and_without_addresses(open_house: Open, auth: FakeAuth) -> None:
    auth.answer = [{"id": 6, "full_name": "Alice Kim", "profile_picture": "https://p/a.png", "email": "alice@example.org"}]
    async with open_house(auth_url=auth.url) as house:
        await recordings(house, u0=9, u5=2, u4=2, u6=3, u7=1)
        for _ in range(2):
            answer = await house.client.get(TOP)
            assert answer.json() == {
                "users": [
                    {"user_id": 6, "full_name": "Alice Kim", "profile_picture": "https://p/a.png", "recording_count": 3},
                    {"user_id": 4, "full_name": None, "profile_picture": None, "recording_count": 2},
                    {"user_id": 5, "full_name": None, "profile_picture": None, "recording_count": 2},
                ]
            }
        assert (auth.asked, auth.callers) == (["4,5,6"], {"audio"})


async def test_the_leaderboard_needs_no_names_and_no_recordings(open_house: Open) -> None:
    async with open_house(auth_url="http://127.0.0.1:1") as house:
        assert (await house.client.get(TOP)).json() == {"users": []}
    async with open_house(auth_url="http://127.0.0.1:1") as house:
        await recordings(house, u6=1)
        [user] = (await house.client.get(TOP)).json()["users"]
        assert user == {"user_id": 6, "full_name": None, "profile_picture": None, "recording_count": 1}


async def test_nobody_waits_for_names_that_do_not_come(open_house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "ANSWER_SECONDS", 0.05)
    held = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_house(auth_url=f"http://127.0.0.1:{port}") as house, asyncio.timeout(5):
        await recordings(house, u6=1)
        assert [user["full_name"] for user in (await house.client.get(TOP)).json()["users"]] == [None]
    held.set()
    server.close()
    await server.wait_closed()


async def test_the_leaderboard_is_kept_for_a_while_and_shorter_without_names(open_house: Open) -> None:
    class Names:
        known: Mapping[int, Person] = {}
        asked = 0

        async def named(self, _: object) -> Mapping[int, Person]:
            self.asked += 1
            return self.known

    now = 100.0
    async with open_house() as house:
        await recordings(house, u6=1)
        asked = Names()
        database = Database(house.app.state.settings.database_url.get_secret_value(), source="test", pool_size=1)
        practice: PracticeService = house.app.state.practice
        scores = ScoreService(database, practice, cast(People, asked), clock=lambda: now)
        await asyncio.gather(*(scores.top_recorders() for _ in range(5)))
        assert asked.asked == 1
        asked.known = {6: Person(id=6, full_name="Alice Kim")}
        now += KEPT_NAMELESS_SECONDS
        assert [place.full_name for place in await scores.top_recorders()] == ["Alice Kim"]
        await recordings(house, u6=1)
        now = 100 + KEPT_SECONDS - 0.1
        assert [place.recordings for place in await scores.top_recorders()] == [1]
        now = 100 + KEPT_SECONDS
        assert [place.recordings for place in await scores.top_recorders()] == [2]
        assert asked.asked == 3
        await database.close()

"""Section 10: mypage_router, which is for whoever has signed in, about themselves."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.contract.catalogue import FIRST, LINES, LONE, SECOND, SHORT, SHORT_LINE, UNKNOWN
from tests.contract.shapes import Bookmark, Dubbed, Shape, Time, User, invalid, refused, shaped
from tests.contract.site import Site

_numbers = count(1)


class Spoken(Shape):
    script_id: int | None
    script_text: str
    has_result: bool
    job_id: str
    status: str
    result: Any
    created_at: Time


class Unspoken(Shape):
    script_id: int
    script_text: str
    has_result: bool


class AnalysisStatus(Shape):
    token_id: int
    has_analysis: bool
    script_results: list[Spoken | Unspoken]


class Overview(Shape):
    user_info: User
    total_bookmarks: int
    total_dubbed_tokens: int
    total_practice_count: int
    average_completion_rate: float
    recent_bookmarks: list[Bookmark]
    recent_dubbed_tokens: list[Dubbed]
    unavailable: list[str]  # whose part is missing; the old service had no such key


@pytest.fixture
def learner(site: Site) -> Iterator[httpx.Client]:
    """Somebody new, who has nothing yet."""
    with site.sign_in(f"learner-{next(_numbers)}") as somebody:
        yield somebody


def test_bookmarks_come_and_go(site: Site, learner: httpx.Client, form: str) -> None:
    path = f"/api/mypage/bookmarks{form}"
    assert shaped(list[Bookmark], learner.get(path)) == []
    for token_id in (FIRST, SECOND):
        added = learner.post(path, json={"token_id": token_id})
        assert (added.status_code, added.json()) == (201, {"token_id": token_id})
    again = learner.post(path, json={"token_id": FIRST})
    refused(again, 409, "Already bookmarked - Detected by explicit check")
    bookmarks = shaped(list[Bookmark], learner.get(path))
    assert [(each.token_id, each.token.id, each.token.token_name) for each in bookmarks] == [
        (SECOND, SECOND, "Scene 02"),
        (FIRST, FIRST, "Scene 01"),
    ]
    assert shaped(list[Bookmark], learner.get(path, params={"limit": 1, "offset": 1})) == bookmarks[1:]
    assert shaped(list[Bookmark], site.other.get(path)) == []
    for _ in range(2):
        assert learner.delete(f"/api/mypage/bookmarks/{FIRST}{form}").status_code == 204
    assert [each.token_id for each in shaped(list[Bookmark], learner.get(path))] == [SECOND]


def test_a_bookmark_that_cannot_be(learner: httpx.Client, form: str) -> None:
    path = f"/api/mypage/bookmarks{form}"
    refused(learner.post(path, json={"token_id": UNKNOWN}), 404, "Token not found")
    for wrong in (0, -1, "abc", 1.5, None):
        invalid(learner.post(path, json={"token_id": wrong}), "body", "token_id")
    invalid(learner.delete(f"/api/mypage/bookmarks/abc{form}"), "path", "token_id")


@pytest.mark.parametrize("path", ["/api/mypage/bookmarks", "/api/mypage/my-dubbed-tokens"])
@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 101), ("offset", -1), ("limit", "x")])
def test_pages_have_bounds(site: Site, path: str, name: str, value: object, form: str) -> None:
    invalid(site.user.get(path + form, params={name: str(value)}), "query", name)


def test_what_was_practised(site: Site, learner: httpx.Client, form: str) -> None:
    dubbed, status = f"/api/mypage/my-dubbed-tokens{form}", f"/api/mypage/tokens/{FIRST}/analysis-status{form}"
    assert shaped(list[Dubbed], learner.get(dubbed)) == []
    assert not shaped(AnalysisStatus, learner.get(status)).has_analysis
    jobs = [site.upload(learner, line) for line in (LINES[0], LINES[0], LINES[1], SHORT_LINE)]
    states = [site.finished(learner, job) for job in jobs]
    assert {state["status"] for state in states} == {"completed"}

    newest, first = shaped(list[Dubbed], learner.get(dubbed))
    assert (newest.token_id, newest.total_scripts, newest.completed_scripts) == (SHORT, 1, 1)
    assert (first.token_id, first.total_scripts, first.completed_scripts) == (FIRST, 3, 2)
    assert (first.token_name, first.actor_name) == ("Scene 01", "Tom Hardy")
    assert shaped(list[Dubbed], learner.get(dubbed, params={"limit": 1, "offset": 1})) == [first]

    rows = shaped(AnalysisStatus, learner.get(status)).script_results
    assert [(row.script_id, row.has_result) for row in rows] == [(LINES[0], True), (LINES[1], True), (LINES[2], False)]
    spoken = rows[0]
    assert isinstance(spoken, Spoken)
    assert (spoken.job_id, spoken.status, spoken.result) == (jobs[1], "completed", states[1]["result"])

    overview = shaped(Overview, learner.get(f"/api/mypage/overview{form}"))
    assert (overview.total_dubbed_tokens, overview.total_practice_count, overview.unavailable) == (2, 4, [])
    assert [token.token_id for token in overview.recent_dubbed_tokens] == [SHORT, FIRST]
    scores = [state["result"]["result"]["overall_score"] for state in states]
    assert overview.average_completion_rate == pytest.approx(sum(scores) / 4, abs=0.001)

    erased = f"/api/mypage/tokens/{FIRST}/my-results{form}"
    assert learner.delete(erased).status_code == 204
    refused(learner.delete(erased), 404, "삭제할 분석 결과가 없습니다.")
    refused(learner.get(f"/api/tokens/analysis-result/{jobs[0]}"), 404, "분석 결과를 찾을 수 없습니다.")
    assert [each.token_id for each in shaped(list[Dubbed], learner.get(dubbed))] == [SHORT]


def test_the_state_of_a_scene_without_lines(site: Site, form: str) -> None:
    for token_id in (UNKNOWN, LONE):
        refused(site.user.get(f"/api/mypage/tokens/{token_id}/analysis-status{form}"), 404, "Token not found")
    invalid(site.user.get(f"/api/mypage/tokens/abc/analysis-status{form}"), "path", "token_id")


def test_the_overview_of_somebody_who_has_nothing(site: Site, learner: httpx.Client, form: str) -> None:
    learner.post("/api/mypage/bookmarks", json={"token_id": SHORT})
    overview = shaped(Overview, learner.get(f"/api/mypage/overview{form}"))
    assert overview.user_info == shaped(User, learner.get("/api/auth/me"))
    assert (overview.total_bookmarks, [each.token_id for each in overview.recent_bookmarks]) == (1, [SHORT])
    assert (overview.total_dubbed_tokens, overview.total_practice_count, overview.average_completion_rate) == (0, 0, 0.0)
    assert overview.recent_dubbed_tokens == []

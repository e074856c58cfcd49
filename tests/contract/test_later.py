"""Section 11: what is only in the repository and in use by the same client; duets are in `test_urls.py`."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.contract.catalogue import FIRST, LINES, SHORT, SHORT_LINE, UNKNOWN
from tests.contract.shapes import Shape, VideoRequest, invalid, refused, shaped
from tests.contract.site import Site

_numbers = count(1)
ASKED = {"actor": "Tom", "content": "please", "url": "https://youtu.be/x"}


class Average(Shape):
    user_id: int
    average_score: float


class Recorder(Shape):
    user_id: int
    full_name: str | None
    profile_picture: str | None
    recording_count: int


class Leaderboard(Shape):
    users: list[Recorder]


class Recording(Shape):
    script_id: int
    url: str


class Recordings(Shape):
    audios: list[Recording]


@pytest.fixture
def learner(site: Site) -> Iterator[httpx.Client]:
    """Somebody new, who has nothing yet."""
    with site.sign_in(f"later-{next(_numbers)}") as somebody:
        yield somebody


def test_a_request_is_made_reviewed_and_taken_back(site: Site, learner: httpx.Client, form: str) -> None:
    made = shaped(VideoRequest, learner.post(f"/api/request{form}", json=ASKED))
    assert (made.actor, made.content, made.url, made.status) == ("Tom", "please", "https://youtu.be/x", "심사중")
    refused(learner.post(f"/api/request{form}", json=ASKED), 400)
    assert shaped(list[VideoRequest], learner.get(f"/api/request/mine{form}")) == [made]
    assert made.id in [each.id for each in shaped(list[VideoRequest], site.other.get(f"/api/request/all{form}"))]
    assert made.id not in [each.id for each in shaped(list[VideoRequest], site.other.get(f"/api/request/mine{form}"))]
    refused(learner.delete(f"/api/request/{made.id}{form}"), 400)

    review = f"/api/request/{made.id}/status{form}"
    refused(learner.patch(review, json={"status": "승인됨"}), 403, "관리자만 상태 변경 가능")
    refused(site.admin.patch(review, json={"status": "maybe"}), 400)
    refused(site.admin.patch(f"/api/request/{UNKNOWN}/status{form}", json={"status": "승인됨"}), 404)
    changed = site.admin.patch(review, json={"status": "거절됨"})
    assert (changed.status_code, changed.json()) == (200, {"detail": "상태가 변경되었습니다."})
    assert [each.status for each in shaped(list[VideoRequest], learner.get(f"/api/request/mine{form}"))] == ["거절됨"]

    refused(site.other.delete(f"/api/request/{made.id}{form}"), 404)
    gone = learner.delete(f"/api/request/{made.id}{form}")
    assert (gone.status_code, gone.json()) == (200, {"detail": "요청이 삭제되었습니다."})
    refused(learner.delete(f"/api/request/{made.id}{form}"), 404)


@pytest.mark.parametrize("field", ["actor", "content", "url"])
def test_what_a_request_must_have(site: Site, field: str, form: str) -> None:
    body = {name: value for name, value in ASKED.items() if name != field}
    invalid(site.user.post(f"/api/request{form}", json=body), "body", field)


def test_scores(site: Site, learner: httpx.Client, form: str) -> None:
    refused(learner.get(f"/api/score/me/average{form}"), 404, "분석 결과가 없습니다.")
    refused(learner.get(f"/api/score/{FIRST}/score{form}"), 404)
    state = site.finished(learner, site.upload(learner, LINES[0]))
    score = state["result"]["result"]["overall_score"]
    average = shaped(Average, learner.get(f"/api/score/me/average{form}"))
    assert average.average_score == pytest.approx(score, abs=0.001)
    assert average.user_id == learner.get("/api/auth/me").json()["id"]
    assert learner.get(f"/api/score/{FIRST}/score{form}").status_code == 200
    refused(learner.get(f"/api/score/{UNKNOWN}/score{form}"), 404)
    invalid(learner.get(f"/api/score/abc/score{form}"), "path", "token_id")


def test_the_leaderboard_shows_three_and_no_addresses(site: Site, form: str) -> None:
    site.upload(site.user, SHORT_LINE)
    answer = site.anonymous.get(f"/api/score/leaderboard/top-recorders{form}")
    users = shaped(Leaderboard, answer).users
    assert len(users) <= 3
    counts = [each.recording_count for each in users]
    assert counts == sorted(counts, reverse=True)
    assert "@" not in answer.text


def test_ones_own_recordings_are_fetched_by_links(site: Site, learner: httpx.Client, form: str) -> None:
    path = f"/api/tokens/{FIRST}/user-audios{form}"
    assert shaped(Recordings, learner.get(path)).audios == []
    assert shaped(Recordings, learner.get(f"/api/tokens/{UNKNOWN}/user-audios{form}")).audios == []
    site.upload(learner, LINES[1])
    (recording,) = shaped(Recordings, learner.get(path)).audios
    assert recording.script_id == LINES[1]
    with httpx.Client(trust_env=False) as anybody:
        assert anybody.get(recording.url).status_code == 200
    assert shaped(Recordings, site.other.get(path)).audios == []


def test_a_dubbing(site: Site, learner: httpx.Client, form: str) -> None:
    latest = f"/api/tokens/{SHORT}/latest-dubbing{form}"
    refused(learner.get(latest), 404, "해당 토큰에 대한 더빙 기록을 찾을 수 없습니다.")
    refused(learner.post(f"/api/synthesize/{UNKNOWN}{form}"), 404)
    refused(learner.post(f"/api/synthesize/{SHORT}{form}"), 404)
    site.upload(learner, SHORT_LINE)
    mixed = learner.post(f"/api/synthesize/{SHORT}{form}", timeout=60.0)
    assert mixed.status_code == 200, mixed.text
    body = mixed.json()
    assert {"status": "success", "message": "합성 및 업로드 완료"}.items() <= body.items()
    link = learner.get(latest).json()["url"]
    with httpx.Client(trust_env=False) as anybody:
        heard = [anybody.get(url) for url in (body["dubbing_audio_url"], link)]
    assert [answer.status_code for answer in heard] == [200, 200]
    assert heard[0].content == heard[1].content
    assert heard[0].headers["content-type"].startswith("audio/")


def test_a_film_is_for_administrators_and_needs_a_preprocessor(site: Site, form: str) -> None:
    asked: dict[str, Any] = {"youtube_url": "https://youtu.be/dQw4w9WgXcQ", "movie_name": "X", "actor_name": "Y"}
    refused(site.anonymous.post(f"/api/youtube/process{form}", json=asked), 401, "Not authenticated")
    refused(site.user.post(f"/api/youtube/process{form}", json=asked), 403)
    refused(site.admin.post(f"/api/youtube/process{form}", json=asked), 503)
    invalid(site.admin.post(f"/api/youtube/process{form}", json={"url": "x"}), "body", "movie_name")
    refused(site.admin.get(f"/api/youtube/process-status/{'0' * 32}{form}"), 404)


def test_the_stream_of_a_film_that_there_is_not(site: Site, form: str) -> None:
    answer = site.anonymous.get(f"/api/youtube/process-progress/{'0' * 32}{form}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert [line for line in answer.text.splitlines() if line and not line.startswith(":")] == [
        'data: {"error":"Job not found"}'
    ]


def test_the_scenes_of_a_film_are_taken_only_with_a_ticket(site: Site, form: str) -> None:
    path = f"/api/youtube/webhook/process-complete{form}"
    done = {"token_ids": [1], "status": "completed", "message": "done"}
    refused(site.anonymous.post(path, json=done), 400)
    refused(site.anonymous.post(path, params={"job_id": "0" * 32}, json=done), 401)

"""What the old service got wrong about who may do what: a test for each numbered fault (20-31, 50-52) of the list.

Only what a caller can see; how it is held is tested where it is done.
"""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from libs.common.contracts.audio import JobKind
from services.auth.settings import AuthSettings
from tests.contract.catalogue import FILM, FIRST, LINES, SHORT, SHORT_LINE
from tests.contract.shapes import refused
from tests.contract.site import BEARERS, Site

ROOT = Path(__file__).resolve().parents[2]
INVALID = "유효하지 않은 토큰입니다"
EVIL = {"Origin": "https://evil.example"}
WEB_CLIENT = {"Origin": "http://localhost:3000"}
SCENE: dict[str, Any] = {"token_name": "x", "actor_name": "x", "start_time": 0, "end_time": 1, "youtube_url": FILM}
LINE: dict[str, Any] = {"token_id": FIRST, "start_time": 0, "end_time": 1, "script": "x"}
WRITES = [
    ("POST", "/api/tokens", SCENE),
    ("PUT", f"/api/tokens/{FIRST}", SCENE),
    ("DELETE", f"/api/tokens/{FIRST}", None),
    ("POST", "/api/scripts", LINE),
    ("PUT", f"/api/scripts/{LINES[0]}", LINE),
    ("DELETE", f"/api/scripts/{LINES[0]}", None),
    ("POST", "/api/actors", {"name": "x"}),
]
FORGED = {"status": "success", "result": {"overall_score": 1.0, "word_analysis": [], "summary": {}}}


def stable(answer: httpx.Response) -> dict[str, Any]:
    """A scene as it is shown, without links that are signed anew each time."""
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return {name: value for name, value in shown.items() if name not in ("view_count", "bgvoice_url")}


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_fault_20_the_catalogue_is_written_by_administrators(house: Site, method: str, path: str, body: Any) -> None:
    before = stable(house.anonymous.get(f"/api/tokens/{FIRST}"))
    for who, status in (("anonymous", 401), ("expired", 401), ("forged", 401), ("user", 403)):
        refused(house.callers[who].request(method, path, json=body), status)
    assert stable(house.anonymous.get(f"/api/tokens/{FIRST}")) == before


def test_fault_21_nobody_elses_results_and_bookmarks_go_with_a_scene(house: Site) -> None:
    scene = house.admin.post("/api/tokens", json=SCENE).json()["id"]
    line = house.admin.post("/api/scripts", json={**LINE, "token_id": scene, "end_time": 5, "script": "you could leave the"})
    with house.sign_in("fault-21") as learner:
        assert learner.post("/api/mypage/bookmarks", json={"token_id": scene}).status_code == 201
        job = house.upload(learner, line.json()["id"])
        result = house.finished(learner, job)
        refused(house.anonymous.delete(f"/api/tokens/{scene}"), 401)
        refused(house.other.delete(f"/api/tokens/{scene}"), 403)
        assert [each["token_id"] for each in learner.get("/api/mypage/bookmarks").json()] == [scene]
        assert house.admin.delete(f"/api/tokens/{scene}").status_code == 200
        assert learner.get(f"/api/scripts/analysis-result/{job}").json() == result


def test_fault_22_put_changes_what_it_names(house: Site) -> None:
    before = house.anonymous.get(f"/api/tokens/{SHORT}").json()
    answer = house.admin.put(f"/api/tokens/{SHORT}", json={"token_name": "Scene 03", "view_count": 0})
    assert answer.status_code == 200, answer.text
    after = house.anonymous.get(f"/api/tokens/{SHORT}").json()
    names = ("view_count", "s3_textgrid_url", "s3_pitch_url", "s3_bgvoice_url", "category", "thumbnail_url")
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert before["view_count"] > 0


def test_fault_23_nobody_posts_a_result_without_the_ticket_of_that_job(house: Site) -> None:
    job, another = house.upload(house.user, LINES[0]), house.upload(house.user, SHORT_LINE)
    result = house.finished(house.user, job)
    for flow in ("scripts", "tokens"):
        path = f"/api/{flow}/webhook/analysis-complete"
        for ticket, status in (("", 401), ("x", 403), (house.ticket(another, JobKind.LINE), 403)):
            query = {"job_id": job, "ticket": ticket}
            refused(house.anonymous.post(path, params=query, json=FORGED), status)
        refused(house.admin.post(path, params={"job_id": "0" * 32}, json=FORGED), 401)
    assert house.user.get(f"/api/scripts/analysis-result/{job}").json() == result


def test_fault_24_results_are_their_owners(house: Site) -> None:
    job = house.upload(house.user, SHORT_LINE)
    house.finished(house.user, job)
    for path in (f"/api/scripts/analysis-result/{job}", f"/api/tokens/analysis-result/{job}", f"/api/jobs/{job}"):
        for who in (house.anonymous, house.other, house.callers["expired"], house.callers["forged"]):
            refused(who.get(path), 404)


def test_fault_25_a_token_must_say_when_it_ends(house: Site) -> None:
    endless = house.signed(house.tokens["user"], exp=None)
    refused(house.anonymous.get("/api/auth/me", headers={"Authorization": f"Bearer {endless}"}), 401, INVALID)
    refused(house.anonymous.get("/api/mypage/bookmarks", headers={"Authorization": f"Bearer {endless}"}), 401, INVALID)


@pytest.mark.parametrize("secret", ["your-secret-key-here-change-in-production", "development only: encrypts the signing keys"])
def test_fault_26_no_well_known_secret_signs_anybody_in(house: Site, secret: str) -> None:
    claims = {
        "sub": "1",
        "email": "a@example.org",
        "admin": True,
        "iss": "yousync",
        "aud": "yousync",
        "exp": int(time.time()) + 900,
    }
    header = {"alg": "HS256", "kid": str(house.key.kid)}
    token = jwt.encode(header, claims, OctKey.import_key(secret), algorithms=["HS256"])
    for path in ("/api/auth/me", "/api/mypage/bookmarks"):
        refused(house.anonymous.get(path, headers={"Authorization": f"Bearer {token}"}), 401, INVALID)


def test_fault_26_production_does_not_start_with_a_default_secret() -> None:
    with pytest.raises(ValueError, match="AUTH_KEY_SECRET"):
        AuthSettings(environment="production")


def test_fault_27_strangers_learn_no_addresses_and_no_names(house: Site) -> None:
    house.finished(house.user, house.upload(house.user, LINES[0]))
    board = house.anonymous.get("/api/score/leaderboard/top-recorders")
    assert board.json()["users"]
    assert "@" not in board.text
    with house.sign_in("fault-27") as asking:
        body = {"actor": "Tom", "content": "please", "url": "https://youtu.be/fault27"}
        made = asking.post("/api/request", json=body).json()
        seen = {each["id"]: each["requester"] for each in house.other.get("/api/request/all").json()}
        assert seen[made["id"]] is None
        assert BEARERS.format("fault-27") not in house.other.get("/api/request/all").text


def test_fault_28_only_pages_of_ours_read_streams(house: Site) -> None:
    job = house.upload(house.anonymous, SHORT_LINE)
    for origin, allowed in ((EVIL, None), (WEB_CLIENT, WEB_CLIENT["Origin"])):
        with house.anonymous.stream("GET", f"/api/scripts/analysis-progress/{job}", headers=origin) as stream:
            assert stream.headers.get("access-control-allow-origin") == allowed


def test_fault_29_films_and_cleaning_up_are_for_administrators(house: Site) -> None:
    film = {"youtube_url": FILM, "movie_name": "x", "actor_name": "x"}
    for who, status in (("anonymous", 401), ("user", 403)):
        refused(house.callers[who].post("/api/youtube/process", json=film), status)
        refused(house.callers[who].post("/api/scripts/cleanup/anonymous-results"), status)
    assert "://" not in house.anonymous.get("/api/tokens/queue/status").text


def test_fault_30_deleting_results_deletes_the_recordings(house: Site) -> None:
    with house.sign_in("fault-30") as learner:
        house.finished(learner, house.upload(learner, LINES[0]))
        links = [each["url"] for each in learner.get(f"/api/tokens/{FIRST}/user-audios").json()["audios"]]
        assert [house.anonymous.get(url).status_code for url in links] == [200]
        assert learner.delete(f"/api/mypage/tokens/{FIRST}/my-results").status_code == 204
        assert learner.get(f"/api/tokens/{FIRST}/user-audios").json() == {"audios": []}
        deadline = time.monotonic() + 10
        while (gone := house.anonymous.get(links[0])).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert gone.status_code in (403, 404), gone.text


def test_fault_31_the_example_environment_holds_no_secret() -> None:
    _, secrets = (ROOT / ".env.example").read_text().split("\n# --- Secrets", 1)
    assignments = [line for line in secrets.splitlines() if line and not line.startswith("#") and "=" in line]
    assert len(assignments) > 5
    assert [line for line in assignments if not line.endswith("=")] == []


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "é", "x" * 100_000, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
@pytest.mark.parametrize("path", ["/api/auth/me", "/api/mypage/bookmarks", "/api/mypage/my-dubbed-tokens"])
def test_fault_50_a_bad_token_is_401_that_a_page_can_read(house: Site, path: str, token: str) -> None:
    answer = house.anonymous.get(
        path, headers={b"Authorization": b"Bearer " + token.encode(), b"Origin": WEB_CLIENT["Origin"].encode()}
    )
    if len(token) > 64 * 1024:
        assert 400 <= answer.status_code < 500, answer.text
        return
    refused(answer, 401, INVALID)
    assert answer.headers["access-control-allow-origin"] == WEB_CLIENT["Origin"]


@pytest.mark.parametrize("path", ["/api/auth/me", "/api/mypage/bookmarks", "/api/mypage/overview", "/api/score/me/average"])
def test_fault_51_a_missing_login_is_401(house: Site, path: str) -> None:
    answer = house.anonymous.get(path)
    refused(answer, 401, "Not authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_fault_52_an_expired_token_continues_its_session_once(house: Site) -> None:
    with house.sign_in("fault-52") as learner:
        token = learner.headers["Authorization"].removeprefix("Bearer ")
        expired = {"Authorization": f"Bearer {house.signed(token, exp=int(time.time()) - 60)}"}
        refused(house.anonymous.get("/api/auth/me", headers=expired), 401, "토큰이 만료되었습니다")
        fresh = house.anonymous.post("/api/auth/refresh", headers=expired)
        assert fresh.status_code == 200, fresh.text
        renewed = {"Authorization": f"Bearer {fresh.json()['access_token']}"}
        assert house.anonymous.get("/api/auth/me", headers=renewed).status_code == 200

"""Who may call what: every endpoint that the gateway's document shows, by everybody, with the status of each answer.

What would change something is asked about a thing that there is not, or without what it needs: 404, 409 and 422 say that the
caller was let in; 401 and 403 that they were not.
"""

from contextlib import ExitStack
from typing import Any

import pytest

from libs.common.web.openapi import operations
from tests.contract.catalogue import FILM, FIRST, LINES, UNKNOWN
from tests.contract.site import CALLERS, Site

TABLE = """
                                                        anonymous user other admin expired forged
GET    /                                                      200  200   200   200     200    200
GET    /health                                                200  200   200   200     200    200
GET    /.well-known/jwks.json                                 200  200   200   200     200    200
GET    /objects/{key}                                         403  403   403   403     403    403

GET    /api/auth/me                                           401  200   200   200     401    401
PATCH  /api/auth/me                                           401  422   422   422     401    401
DELETE /api/auth/me                                           401  204   204   204     401    401
POST   /api/auth/refresh                                      401  200   200   200     401    401
POST   /api/auth/logout                                       401  200   200   200     401    401
POST   /api/auth/token                                        422  422   422   422     422    422
GET    /api/auth/sessions                                     401  200   200   200     401    401
DELETE /api/auth/sessions                                     401  204   204   204     401    401
DELETE /api/auth/sessions/{session_id}                        401  404   404   404     401    401
GET    /api/auth/me/activity                                  401  200   200   200     401    401
GET    /api/auth/me/export                                    401  422   422   422     401    401
GET    /api/auth/users                                        401  403   403   200     401    401
POST   /api/auth/users/{user_id}/deactivate                   401  403   403   422     401    401
POST   /api/auth/users/{user_id}/activate                     401  403   403   422     401    401
PUT    /api/auth/users/{user_id}/admin                        401  403   403   404     401    401
DELETE /api/auth/users/{user_id}/admin                        401  403   403   404     401    401
POST   /api/auth/google-login                                 422  422   422   422     422    422
GET    /api/auth/google/start                                 422  422   422   422     422    422
GET    /api/auth/google/callback                              400  400   400   400     400    400
POST   /api/auth/google/token                                 422  422   422   422     422    422
POST   /api/auth/dev-login                                    422  422   422   422     422    422
POST   /api/auth/dev-users                                    401  403   403   200     401    401

GET    /api/actors                                            200  200   200   200     200    200
POST   /api/actors                                            401  403   403   422     401    401
GET    /api/actors/search/{query}                             200  200   200   200     200    200
GET    /api/actors/{query}                                    200  200   200   200     200    200
GET    /api/tokens                                            200  200   200   200     200    200
POST   /api/tokens                                            401  403   403   422     401    401
GET    /api/tokens/latest                                     200  200   200   200     200    200
GET    /api/tokens/popular                                    200  200   200   200     200    200
GET    /api/tokens/sync-collection                            200  200   200   200     200    200
GET    /api/tokens/category/{category}                        200  200   200   200     200    200
GET    /api/tokens/{token_id}                                 200  200   200   200     200    200
PUT    /api/tokens/{token_id}                                 401  403   403   422     401    401
DELETE /api/tokens/{token_id}                                 401  403   403   404     401    401
GET    /api/tokens/{token_id}/related                         200  200   200   200     200    200
POST   /api/tokens/{token_id}/view                            404  404   404   404     404    404
GET    /api/scripts                                           200  200   200   200     200    200
POST   /api/scripts                                           401  403   403   422     401    401
GET    /api/scripts/{script_id}                               200  200   200   200     200    200
PUT    /api/scripts/{script_id}                               401  403   403   422     401    401
DELETE /api/scripts/{script_id}                               401  403   403   404     401    401
GET    /api/scripts/token/{token_id}                          200  200   200   200     200    200
POST   /api/urls/check                                        200  200   200   200     200    200
GET    /api/urls/tokens                                       200  200   200   200     200    200
GET    /api/duet/scenes                                       200  200   200   200     200    200
POST   /api/catalog/import                                    401  403   403   422     401    401
GET    /api/catalog/export                                    401  403   403   200     401    401

POST   /api/scripts/{script_id}/upload-audio                  422  422   422   422     422    422
GET    /api/scripts/analysis-result/{job_id}                  404  200   404   200     404    404
GET    /api/scripts/analysis-progress/{job_id}                200  200   200   200     200    200
POST   /api/scripts/webhook/analysis-complete                 401  401   401   401     401    401
POST   /api/scripts/cleanup/anonymous-results                 401  403   403   200     401    401
POST   /api/tokens/{token_id}/upload-audio                    401  422   422   422     401    401
GET    /api/tokens/analysis-result/{job_id}                   404  200   404   200     404    404
GET    /api/tokens/analysis-progress/{job_id}                 200  200   200   200     200    200
POST   /api/tokens/webhook/analysis-complete                  401  401   401   401     401    401
POST   /api/tokens/batch-upload                               401  422   422   422     401    401
GET    /api/tokens/batch-progress                             200  200   200   200     200    200
GET    /api/tokens/queue/status                               200  200   200   200     200    200
GET    /api/jobs/{job_id}                                     404  200   404   200     404    404
POST   /api/jobs/{job_id}/cancel                              404  409   404   409     404    404
POST   /api/jobs/{job_id}/retry                               404  409   404   409     404    404

POST   /api/youtube/process                                   401  403   403   422     401    401
GET    /api/youtube/process-status/{job_id}                   404  404   404   404     404    404
GET    /api/youtube/process-progress/{job_id}                 200  200   200   200     200    200
POST   /api/youtube/webhook/process-complete                  401  401   401   401     401    401

GET    /api/mypage/overview                                   401  200   200   200     401    401
POST   /api/mypage/bookmarks                                  401  422   422   422     401    401
GET    /api/mypage/bookmarks                                  401  200   200   200     401    401
DELETE /api/mypage/bookmarks/{token_id}                       401  204   204   204     401    401
GET    /api/mypage/my-dubbed-tokens                           401  200   200   200     401    401
GET    /api/mypage/tokens/{token_id}/analysis-status          401  200   200   200     401    401
DELETE /api/mypage/tokens/{token_id}/my-results               401  404   404   404     401    401
GET    /api/score/{token_id}/score                            401  200   404   404     401    401
GET    /api/score/me/average                                  401  200   404   404     401    401
GET    /api/score/leaderboard/top-recorders                   200  200   200   200     200    200
POST   /api/synthesize/{token_id}                             401  404   404   404     401    401
GET    /api/tokens/{token_id}/latest-dubbing                  401  404   404   404     401    401
GET    /api/tokens/{token_id}/user-audios                     401  200   200   200     401    401
POST   /api/request                                           401  422   422   422     401    401
GET    /api/request/mine                                      401  200   200   200     401    401
GET    /api/request/all                                       401  200   200   200     401    401
PATCH  /api/request/{request_id}/status                       401  403   403   404     401    401
DELETE /api/request/{request_id}                              401  404   404   404     401    401
"""

EXPORT = "/api/auth/me/export"  # begins a job for whoever may ask
QUERIES = {"/api/urls/tokens": {"youtube_url": FILM}, "/api/tokens/batch-progress": {"job_ids": "x"}, EXPORT: {"fresh": "x"}}
BODIES = {"/api/urls/check": {"youtube_url": FILM}, "/api/request/{request_id}/status": {"status": "승인됨"}}
# Whoever asks for this is signed out by it: people whom nobody else needs.
SIGNS_OUT = {("POST", "/api/auth/logout"), ("DELETE", "/api/auth/sessions"), ("DELETE", "/api/auth/me")}
CHANGES_NOTHING = UNKNOWN  # asked about this


def rows() -> dict[tuple[str, str], dict[str, int]]:
    """The status of each cell by endpoint and caller."""
    head, *lines = (line.split() for line in TABLE.splitlines() if line.strip())
    assert tuple(head) == CALLERS
    return {(method, path): dict(zip(CALLERS, map(int, cells), strict=True)) for method, path, *cells in lines}


@pytest.fixture(scope="module")
def finished(house: Site) -> str:
    """A job of the user that has its result."""
    job_id = house.upload(house.user, LINES[0])
    assert house.finished(house.user, job_id)["status"] == "completed"
    return job_id


@pytest.mark.parametrize(("method", "path"), rows())
def test_everybody_is_answered_what_the_table_says(house: Site, finished: str, method: str, path: str) -> None:
    thing = FIRST if method == "GET" or "upload" in path else CHANGES_NOTHING
    script = LINES[0] if method == "GET" or "upload" in path else CHANGES_NOTHING
    filled = path.format(
        token_id=thing,
        script_id=script,
        job_id=finished,
        request_id=UNKNOWN,
        user_id=UNKNOWN,
        query="hardy",
        category="x",
        key="x",
        session_id="0" * 32,
    )
    query: dict[str, Any] = QUERIES.get(path, {})
    if "webhook" in path:
        query = {"job_id": finished}
    asked: dict[str, Any] = {"params": query}
    if method in ("POST", "PUT", "PATCH") and "upload" in path:
        asked["files"] = {"nothing": b"1"}
    elif method in ("POST", "PUT", "PATCH"):
        asked["json"] = BODIES.get(path, [])
    with ExitStack() as leaving:
        callers = dict(house.callers)
        if (method, path) in SIGNS_OUT:
            callers |= {who: leaving.enter_context(house.sign_in(f"leaving-{who}")) for who in ("user", "other", "admin")}
        statuses = {who: callers[who].request(method, filled, **asked).status_code for who in CALLERS}
    assert statuses == rows()[method, path]


def test_the_table_has_every_endpoint_of_the_document_and_no_other(house: Site) -> None:
    document = house.anonymous.get("/openapi.json").json()
    assert {(method.upper(), path) for path, method, _ in operations(document)} == set(rows())

"""Who may call what: the one place that says it, for every endpoint of every service.

Each service reads its part and holds to it before an endpoint runs (`guard.py`). What is not listed answers nobody, and a
service with such an endpoint does not start. `docs/rights.md` and who may call at `/docs` are made of this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Who(StrEnum):
    """Whom an endpoint answers."""

    PUBLIC = "anybody"
    OPTIONAL = "anybody; who has signed in is known"
    USER = "who has signed in"
    ADMIN = "administrators"
    BEARER = "who has a bearer, also one that has expired"
    PROOF = "who brings something else than an access token"
    SERVICE = "services of the platform"


NOT_AN_ADMIN: Final = "관리자만 사용할 수 있습니다"


@dataclass(frozen=True, slots=True)
class Need:
    """What an endpoint asks of its caller."""

    who: Who
    # what the endpoint's use case checks besides: whose thing it is, or which proof
    besides: str = ""
    # of SERVICE: which ones
    callers: tuple[str, ...] = ()
    # of ADMIN: what everybody else is told
    refusal: str = NOT_AN_ADMIN


Rights = Mapping[str, Need]
"""What the endpoints of one service ask, by method and path as it is declared: `GET /api/tokens/{token_id}`."""

PUBLIC: Final = Need(Who.PUBLIC)
USER: Final = Need(Who.USER)
ADMIN: Final = Need(Who.ADMIN)

OWN: Final = Need(Who.USER, "the caller's own; what is another's is as if it were not there")
# Ids of jobs are random, 128 bits: who recorded without an account has nothing else.
JOB: Final = Need(Who.OPTIONAL, "the job's owner and administrators; who has its id, if it has no owner; for others it is 404")
TICKET: Final = Need(Who.PROOF, "a ticket: the signature under job, kind, lease and time that came with the work")
LINK: Final = Need(Who.PROOF, "a signed link, for minutes")


def services(*callers: str) -> Need:
    """For these services only."""
    return Need(Who.SERVICE, callers=callers)


_EVERYWHERE: Final[Rights] = {
    "GET /health/live": PUBLIC,
    "GET /health/ready": PUBLIC,
    "GET /openapi.json": PUBLIC,
}
# Of services that only the platform's own network reaches; the gateway has a port of its own for it.
_METRICS: Final[Rights] = {"GET /metrics": PUBLIC}

_AUTH: Final[Rights] = {
    "GET /.well-known/jwks.json": PUBLIC,
    "GET /api/auth/me": OWN,
    "PATCH /api/auth/me": OWN,
    "DELETE /api/auth/me": Need(Who.USER, "the caller's own, who has signed in lately"),
    "POST /api/auth/google-login": Need(Who.PROOF, "an id_token of the provider"),
    "GET /api/auth/google/start": PUBLIC,
    "GET /api/auth/google/callback": Need(Who.PROOF, "the cookie of the sign-in's beginning, its state, the provider's code"),
    "POST /api/auth/google/token": Need(Who.PROOF, "a code of ours, and the verifier of the page that began"),
    "POST /api/auth/refresh": Need(Who.BEARER, "a session that goes on; an expired token once"),
    "POST /api/auth/token": Need(Who.PROOF, "a refresh token, once"),
    "POST /api/auth/logout": OWN,
    "GET /api/auth/sessions": OWN,
    "DELETE /api/auth/sessions": OWN,
    "DELETE /api/auth/sessions/{session_id}": OWN,
    "GET /api/auth/me/activity": OWN,
    "GET /api/auth/users": ADMIN,
    "POST /api/auth/users/{user_id}/deactivate": ADMIN,
    "POST /api/auth/users/{user_id}/activate": ADMIN,
    "PUT /api/auth/users/{user_id}/admin": ADMIN,
    "DELETE /api/auth/users/{user_id}/admin": ADMIN,
    "POST /api/auth/dev-login": Need(Who.PUBLIC, "not in production, where it does not exist"),
    "POST /api/auth/dev-users": Need(Who.ADMIN, "not in production, where it does not exist"),
    "GET /internal/users": services("audio", "catalog"),
    "GET /internal/users/{user_id}/data": services("audio"),
    "GET /internal/sessions/revoked": services("gateway"),
}

_CATALOG: Final[Rights] = {
    "GET /api/actors": PUBLIC,
    "POST /api/actors": ADMIN,
    "GET /api/actors/search/{query}": PUBLIC,
    "GET /api/actors/{query}": PUBLIC,
    "GET /api/tokens": PUBLIC,
    "POST /api/tokens": ADMIN,
    "GET /api/tokens/latest": PUBLIC,
    "GET /api/tokens/popular": PUBLIC,
    "GET /api/tokens/sync-collection": PUBLIC,
    "GET /api/tokens/category/{category}": PUBLIC,
    "GET /api/tokens/{token_id}": PUBLIC,
    "PUT /api/tokens/{token_id}": ADMIN,
    "DELETE /api/tokens/{token_id}": ADMIN,
    "GET /api/tokens/{token_id}/related": PUBLIC,
    "POST /api/tokens/{token_id}/view": PUBLIC,
    "GET /api/scripts": PUBLIC,
    "POST /api/scripts": ADMIN,
    "GET /api/scripts/{script_id}": PUBLIC,
    "PUT /api/scripts/{script_id}": ADMIN,
    "DELETE /api/scripts/{script_id}": ADMIN,
    "GET /api/scripts/token/{token_id}": PUBLIC,
    "POST /api/urls/check": PUBLIC,
    "GET /api/urls/tokens": PUBLIC,
    "GET /api/duet/scenes": PUBLIC,
    "POST /api/catalog/import": ADMIN,
    "GET /api/catalog/export": ADMIN,
    "POST /api/mypage/bookmarks": OWN,
    "GET /api/mypage/bookmarks": OWN,
    "DELETE /api/mypage/bookmarks/{token_id}": OWN,
    "POST /api/request": USER,
    "GET /api/request/mine": OWN,
    "GET /api/request/all": Need(Who.USER, "who asked is told to themselves and to administrators"),
    "PATCH /api/request/{request_id}/status": Need(Who.ADMIN, refusal="관리자만 상태 변경 가능"),
    "DELETE /api/request/{request_id}": OWN,
    "GET /internal/scripts/{script_id}": services("audio"),
    "GET /internal/tokens/{token_id}": services("audio"),
    "GET /internal/users/{user_id}/bookmarks": services("gateway"),
    "GET /internal/users/{user_id}/data": services("audio"),
}

_AUDIO: Final[Rights] = {
    "POST /api/scripts/{script_id}/upload-audio": Need(Who.OPTIONAL, "belongs to the caller, or to nobody"),
    "GET /api/scripts/analysis-result/{job_id}": JOB,
    "POST /api/scripts/webhook/analysis-complete": TICKET,
    "POST /api/scripts/cleanup/anonymous-results": ADMIN,
    "POST /api/tokens/{token_id}/upload-audio": USER,
    "POST /api/tokens/batch-upload": USER,
    "GET /api/tokens/analysis-result/{job_id}": JOB,
    "GET /api/tokens/batch-progress": Need(Who.OPTIONAL, "as for each job alone; the others are as if they were not there"),
    "POST /api/tokens/webhook/analysis-complete": TICKET,
    "GET /api/tokens/queue/status": PUBLIC,
    "GET /api/tokens/{token_id}/latest-dubbing": OWN,
    "GET /api/tokens/{token_id}/user-audios": OWN,
    "POST /api/synthesize/{token_id}": OWN,
    "GET /api/jobs/{job_id}": JOB,
    "POST /api/jobs/{job_id}/cancel": JOB,
    "POST /api/jobs/{job_id}/retry": JOB,
    "GET /api/mypage/my-dubbed-tokens": OWN,
    "GET /api/mypage/tokens/{token_id}/analysis-status": OWN,
    "DELETE /api/mypage/tokens/{token_id}/my-results": OWN,
    "GET /api/score/{token_id}/score": OWN,
    "GET /api/score/me/average": OWN,
    "GET /api/score/leaderboard/top-recorders": PUBLIC,
    "POST /api/youtube/process": ADMIN,
    "GET /api/youtube/process-status/{job_id}": Need(Who.OPTIONAL, "administrators; for others it is 404"),
    "POST /api/youtube/webhook/process-complete": TICKET,
    "GET /api/auth/me/export": OWN,
    "GET /objects/{key}": LINK,
    "HEAD /objects/{key}": LINK,
    "GET /internal/jobs/{job_id}": services("gateway"),
    "GET /internal/users/{user_id}/practice": services("gateway"),
}

_NOTIFIER: Final[Rights] = {
    "GET /internal/channels/{channel}/frames": services("gateway"),
}

_STREAM: Final = Need(
    Who.PROOF,
    "the job's id: a browser's EventSource can send no bearer; one that is sent must be of its owner or an administrator",
)

# Of what the gateway answers itself. What it passes on is for the service behind it to judge.
_GATEWAY: Final[Rights] = {
    "GET /": PUBLIC,
    "GET /health": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/assets/{path}": PUBLIC,
    "GET /redoc": PUBLIC,
    "GET /api/scripts/analysis-progress/{job_id}": _STREAM,
    "GET /api/tokens/analysis-progress/{job_id}": _STREAM,
    "GET /api/youtube/process-progress/{job_id}": _STREAM,
    "GET /api/mypage/overview": OWN,
}

RIGHTS: Final[Mapping[str, Rights]] = MappingProxyType(
    {
        "analysis": {**_EVERYWHERE, **_METRICS},
        "audio": {**_EVERYWHERE, **_METRICS, **_AUDIO},
        "auth": {**_EVERYWHERE, **_METRICS, **_AUTH},
        "catalog": {**_EVERYWHERE, **_METRICS, **_CATALOG},
        "gateway": {**_EVERYWHERE, **_GATEWAY},
        "notifier": {**_EVERYWHERE, **_METRICS, **_NOTIFIER},
    }
)
CALLERS: Final = tuple(sorted({caller for rights in RIGHTS.values() for need in rights.values() for caller in need.callers}))
"""The services that call others."""

"""Which service answers which path. The first row that matches counts; what no row matches does not exist outside.

Matched is the decoded path, as the services' own routers see it, so that no spelling of `/internal` gets through.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Service(StrEnum):
    """The services behind this door."""

    AUTH = "auth"
    CATALOG = "catalog"
    AUDIO = "audio"
    NOTIFIER = "notifier"


class Cost(StrEnum):
    """What answering costs, which is what limits are set by."""

    READ = "read"
    SEARCH = "search"
    WRITE = "write"
    UPLOAD = "upload"  # bytes to be kept, and the work that follows from them
    SIGN_IN = "sign-in"
    STREAM = "stream"
    REPORT = "report"  # of analysis servers
    UNKNOWN = "unknown"  # what no table names


Costs = tuple[Cost, Cost]  # of methods that only look, and of all others

ORDINARY: Costs = (Cost.READ, Cost.WRITE)
UPLOADING: Costs = (Cost.READ, Cost.UPLOAD)
SEARCHING: Costs = (Cost.SEARCH, Cost.WRITE)
REPORTING: Costs = (Cost.READ, Cost.REPORT)
LOOKING: Costs = (Cost.READ, Cost.READ)
SIGNING_IN: Costs = (Cost.SIGN_IN, Cost.SIGN_IN)


class BodySize(StrEnum):
    """How large a body may be."""

    UPLOAD = "upload"
    BATCH = "batch"
    IMPORT = "import"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` matches the whole decoded path; `name` stands for it in metrics and logs, where ids must not appear."""

    name: str
    pattern: re.Pattern[str]
    service: Service
    costs: Costs
    body: BodySize = BodySize.SMALL
    cookies: bool = False  # nothing else gets the cookies of a browser: who calls is proved by a bearer, never by them


def _exact(name: str, service: Service, costs: Costs, body: BodySize = BodySize.SMALL) -> Route:
    """A path with `{parameters}`, with and without trailing slash."""
    parts = ("[^/]+" if part.startswith("{") else re.escape(part) for part in name.split("/"))
    return Route(name, re.compile("/".join(parts) + "/?"), service, costs, body)


def _below(prefix: str, service: Service, costs: Costs, body: BodySize = BodySize.SMALL, *, cookies: bool = False) -> Route:
    """`prefix` and everything below it."""
    pattern = re.compile(re.escape(prefix) + "(/.*)?", re.DOTALL)
    return Route(prefix, pattern, service, costs, body, cookies)


ROUTES: tuple[Route, ...] = (
    _exact("/api/scripts/{script_id}/upload-audio", Service.AUDIO, UPLOADING, BodySize.UPLOAD),
    _exact("/api/scripts/analysis-result/{job_id}", Service.AUDIO, ORDINARY),
    _exact("/api/tokens/analysis-result/{job_id}", Service.AUDIO, ORDINARY),
    _exact("/api/tokens/{token_id}/upload-audio", Service.AUDIO, UPLOADING, BodySize.UPLOAD),
    _exact("/api/tokens/{token_id}/latest-dubbing", Service.AUDIO, ORDINARY),
    _exact("/api/tokens/{token_id}/user-audios", Service.AUDIO, ORDINARY),
    _exact("/api/synthesize/{token_id}", Service.AUDIO, UPLOADING),
    _exact("/api/tokens/batch-upload", Service.AUDIO, UPLOADING, BodySize.BATCH),
    _exact("/api/tokens/batch-progress", Service.AUDIO, ORDINARY),
    _exact("/api/tokens/queue/status", Service.AUDIO, ORDINARY),
    _exact("/api/scripts/webhook/analysis-complete", Service.AUDIO, REPORTING),
    _exact("/api/tokens/webhook/analysis-complete", Service.AUDIO, REPORTING),
    _exact("/api/scripts/cleanup/anonymous-results", Service.AUDIO, ORDINARY),
    _exact("/api/jobs/{job_id}", Service.AUDIO, ORDINARY),
    _exact("/api/jobs/{job_id}/cancel", Service.AUDIO, ORDINARY),
    _exact("/api/jobs/{job_id}/retry", Service.AUDIO, ORDINARY),
    _exact("/api/mypage/my-dubbed-tokens", Service.AUDIO, ORDINARY),
    _exact("/api/mypage/tokens/{token_id}/analysis-status", Service.AUDIO, ORDINARY),
    _exact("/api/mypage/tokens/{token_id}/my-results", Service.AUDIO, ORDINARY),
    _exact("/api/score/{token_id}/score", Service.AUDIO, ORDINARY),
    _exact("/api/score/me/average", Service.AUDIO, ORDINARY),
    _exact("/api/score/leaderboard/top-recorders", Service.AUDIO, ORDINARY),
    _exact("/api/youtube/process", Service.AUDIO, ORDINARY),
    _exact("/api/youtube/process-status/{job_id}", Service.AUDIO, ORDINARY),
    _exact("/api/youtube/webhook/process-complete", Service.AUDIO, REPORTING),
    _below("/objects", Service.AUDIO, UPLOADING, BodySize.UPLOAD),
    _exact("/api/mypage/bookmarks", Service.CATALOG, ORDINARY),
    _exact("/api/mypage/bookmarks/{token_id}", Service.CATALOG, ORDINARY),
    _below("/api/request", Service.CATALOG, ORDINARY),
    _exact("/api/catalog/import", Service.CATALOG, UPLOADING, BodySize.IMPORT),
    _exact("/api/auth/me/export", Service.AUDIO, ORDINARY),
    _below("/api/auth/google", Service.AUTH, SIGNING_IN, cookies=True),
    _exact("/api/auth/google-login", Service.AUTH, SIGNING_IN),
    _exact("/api/auth/dev-login", Service.AUTH, SIGNING_IN),
    _exact("/api/auth/refresh", Service.AUTH, SIGNING_IN),
    _exact("/api/auth/token", Service.AUTH, SIGNING_IN),
    _below("/api/auth", Service.AUTH, ORDINARY),
    _exact("/.well-known/jwks.json", Service.AUTH, ORDINARY),
    _exact("/api/actors", Service.CATALOG, ORDINARY),
    _below("/api/actors", Service.CATALOG, SEARCHING),
    _below("/api/tokens", Service.CATALOG, ORDINARY),
    _below("/api/scripts", Service.CATALOG, ORDINARY),
    _below("/api/urls", Service.CATALOG, LOOKING),
    _below("/api/catalog", Service.CATALOG, ORDINARY),
    _below("/api/duet", Service.CATALOG, ORDINARY),
)


def route_of(path: str) -> Route | None:
    """The row for a decoded `path`, or None."""
    return next((route for route in ROUTES if route.pattern.fullmatch(path)), None)

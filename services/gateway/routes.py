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
    body: BodySize = BodySize.SMALL


def _exact(name: str, service: Service, body: BodySize = BodySize.SMALL) -> Route:
    """A path with `{parameters}`, with and without trailing slash."""
    parts = ("[^/]+" if part.startswith("{") else re.escape(part) for part in name.split("/"))
    return Route(name, re.compile("/".join(parts) + "/?"), service, body)


def _below(prefix: str, service: Service, body: BodySize = BodySize.SMALL) -> Route:
    """`prefix` and everything below it."""
    return Route(prefix, re.compile(re.escape(prefix) + "(/.*)?", re.DOTALL), service, body)


ROUTES: tuple[Route, ...] = (
    _exact("/api/scripts/{script_id}/upload-audio", Service.AUDIO, BodySize.UPLOAD),
    _exact("/api/scripts/analysis-result/{job_id}", Service.AUDIO),
    _exact("/api/tokens/analysis-result/{job_id}", Service.AUDIO),
    _exact("/api/tokens/{token_id}/upload-audio", Service.AUDIO, BodySize.UPLOAD),
    _exact("/api/tokens/{token_id}/latest-dubbing", Service.AUDIO),
    _exact("/api/tokens/{token_id}/user-audios", Service.AUDIO),
    _exact("/api/synthesize/{token_id}", Service.AUDIO),
    _exact("/api/tokens/batch-upload", Service.AUDIO, BodySize.BATCH),
    _exact("/api/tokens/batch-progress", Service.AUDIO),
    _exact("/api/tokens/queue/status", Service.AUDIO),
    _exact("/api/scripts/webhook/analysis-complete", Service.AUDIO),
    _exact("/api/tokens/webhook/analysis-complete", Service.AUDIO),
    _exact("/api/scripts/cleanup/anonymous-results", Service.AUDIO),
    _exact("/api/jobs/{job_id}", Service.AUDIO),
    _exact("/api/jobs/{job_id}/cancel", Service.AUDIO),
    _exact("/api/jobs/{job_id}/retry", Service.AUDIO),
    _exact("/api/mypage/my-dubbed-tokens", Service.AUDIO),
    _exact("/api/mypage/tokens/{token_id}/analysis-status", Service.AUDIO),
    _exact("/api/mypage/tokens/{token_id}/my-results", Service.AUDIO),
    _exact("/api/score/{token_id}/score", Service.AUDIO),
    _exact("/api/score/me/average", Service.AUDIO),
    _exact("/api/score/leaderboard/top-recorders", Service.AUDIO),
    _exact("/api/youtube/process", Service.AUDIO),
    _exact("/api/youtube/process-status/{job_id}", Service.AUDIO),
    _exact("/api/youtube/webhook/process-complete", Service.AUDIO),
    _below("/objects", Service.AUDIO, BodySize.UPLOAD),
    _exact("/api/mypage/bookmarks", Service.CATALOG),
    _exact("/api/mypage/bookmarks/{token_id}", Service.CATALOG),
    _below("/api/request", Service.CATALOG),
    _exact("/api/catalog/import", Service.CATALOG, BodySize.IMPORT),
    _below("/api/auth", Service.AUTH),
    _exact("/.well-known/jwks.json", Service.AUTH),
    _below("/api/actors", Service.CATALOG),
    _below("/api/tokens", Service.CATALOG),
    _below("/api/scripts", Service.CATALOG),
    _below("/api/urls", Service.CATALOG),
    _below("/api/catalog", Service.CATALOG),
    _below("/api/duet", Service.CATALOG),
)


def route_of(path: str) -> Route | None:
    """The row for a decoded `path`, or None."""
    return next((route for route in ROUTES if route.pattern.fullmatch(path)), None)

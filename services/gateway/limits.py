"""Who calls too often is told so, and when to try again; everybody is told how much is left.

The fields are those of draft-ietf-httpapi-ratelimit-headers-06, the last one with a plain number in each, which is what
clients read today; the drafts since then put all into two structured fields and still change.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute
from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.acts import Place
from libs.common.web import problems
from libs.common.web.language import preferred
from services.gateway import rates
from services.gateway.addresses import network_of
from services.gateway.callers import caller_of
from services.gateway.costs import cost_of
from services.gateway.counters import Bucket, Count, Counters, OwnCounters
from services.gateway.errors import TooManyRequests
from services.gateway.refusals import refuse
from services.gateway.routes import Cost

log = logging.getLogger(__name__)

REFUSED = Counter("yousync_limited_requests_total", "Requests refused because of a limit", ["cost", "by"])

# What is refused is logged once a minute for each network or user: whoever floods us must not flood the log as well.
ONCE = RateLimitItemPerMinute(1, namespace="log")
LOGGED_KEYS = 10_000


class Standing(NamedTuple):
    """How somebody stands by the limit that they are closest to. `reset` is in seconds; `by` is `address` or `user`."""

    by: str
    within: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """For whoever asked."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset),
            (b"ratelimit-policy", b"%d;w=%d" % (self.limit, rates.SECONDS)),
        ]


class Limiter:
    """Counts requests per address, and per user where one has proved to be one. Amounts are per minute, `factor` times."""

    def __init__(
        self, counters: Counters, per_address: Mapping[Cost, int], per_user: Mapping[Cost, int], *, factor: float
    ) -> None:
        self._counters = counters
        self._per_address = _items("address", per_address, factor)
        self._per_user = _items("user", per_user, factor)

    async def take(self, cost: Cost, host: str | None, user_id: int | None) -> Standing:
        """Count one request. It is refused when it is over either limit."""
        buckets = [Bucket(self._per_address[cost], network_of(host))]
        if user_id is not None and cost in self._per_user:
            buckets.append(Bucket(self._per_user[cost], str(user_id)))
        return _closest(buckets, await self._counters.count(buckets))


class Limits:
    """ASGI middleware, within the one that notes the caller: only who has proved to be a user is counted as one, so that
    nobody makes counters by inventing tokens."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter) -> None:
        self._app = app
        self._limiter = limiter
        self._logged = OwnCounters(max_keys=LOGGED_KEYS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is within the limits."""
        cost = cost_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if cost is None:
            return await self._app(scope, receive, send)
        caller, client = caller_of(scope), scope.get("client")
        host, user_id = client[0] if client else None, caller.user_id if caller else None
        standing = await self._limiter.take(cost, host, user_id)
        headers = standing.headers()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if standing.within:
            return await self._app(scope, receive, told)
        REFUSED.labels(cost, standing.by).inc()
        await self._log(cost, standing.by, host, user_id)
        seconds = max(1, standing.reset)
        error = TooManyRequests(seconds, preferred(Headers(scope=scope).get("accept-language", "")))
        said = {"Retry-After": str(seconds), "Vary": "Accept-Language"}
        answer = problems.problem(problems.STATUS[error.kind], error.detail, code=error.code, headers=said)
        return await refuse(answer, scope, receive, told)

    async def _log(self, cost: Cost, by: str, host: str | None, user_id: int | None) -> None:
        whose = Place.of("", host or "").network if by == "address" else user_id
        (first,) = await self._logged.count([Bucket(ONCE, f"{by}/{whose}")])
        if first.within:
            log.warning("somebody is over a limit", extra={"cost": cost, "by": by, "whose": whose})


def _items(by: str, amounts: Mapping[Cost, int], factor: float) -> dict[Cost, RateLimitItem]:
    return {
        cost: RateLimitItemPerMinute(max(1, round(amount * factor)), namespace=f"{by}/{cost}")
        for cost, amount in amounts.items()
    }


def _closest(buckets: Sequence[Bucket], counts: Sequence[Count]) -> Standing:
    """The one that refuses, else the one with the least left."""
    bucket, count = min(zip(buckets, counts, strict=True), key=lambda each: (each[1].within, each[1].remaining))
    reset = max(0, math.ceil(count.reset_at - time.time()))
    return Standing(
        by=bucket.item.namespace.partition("/")[0],
        within=count.within,
        limit=bucket.item.amount,
        remaining=count.remaining if count.within else 0,
        reset=reset,
    )

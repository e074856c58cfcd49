"""My page out of the parts that its owners have: asked at once, each for so long and no longer. A part that does not come is
missing, and the answer says so; the rest of the page does not wait for it."""

import asyncio
import json
import logging
from collections.abc import Awaitable
from http import HTTPStatus
from typing import TypeVar

import aiohttp
from prometheus_client import Counter
from pydantic import BaseModel

from libs.common.errors import Unauthenticated
from libs.common.web.auth import INVALID, Principal
from services.gateway.mypage_schemas import Account, BookmarksPart, Overview, PracticePart
from services.gateway.routes import Service
from services.gateway.upstream import Upstreams, asking

log = logging.getLogger(__name__)

MISSING = Counter("yousync_mypage_parts_missing_total", "Parts of my page that did not come in time, by owner", ["upstream"])

Part = TypeVar("Part")
M = TypeVar("M", bound=BaseModel)


class MyPage:
    """Composes my page. An owner has `part_seconds` for its part."""

    def __init__(self, upstreams: Upstreams, *, part_seconds: float) -> None:
        self._upstreams = upstreams
        self._part_seconds = part_seconds

    async def overview(self, caller: Principal, authorization: str) -> Overview:
        """The page of `caller`, whose header is given. Raises `Unauthenticated` when auth says that it is nobody's any more."""
        user = f"/internal/users/{caller.user_id}"
        account, bookmarks, practice = await asyncio.gather(
            self._in_time(Service.AUTH, self._account(authorization)),
            self._in_time(Service.CATALOG, self._part(Service.CATALOG, f"{user}/bookmarks", BookmarksPart)),
            self._in_time(Service.AUDIO, self._part(Service.AUDIO, f"{user}/practice", PracticePart)),
        )
        parts = {Service.AUTH: account, Service.CATALOG: bookmarks, Service.AUDIO: practice}
        marked, practised = bookmarks or BookmarksPart(), practice or PracticePart()
        return Overview(
            user_info=account or Account.of(caller),
            total_bookmarks=marked.total,
            total_dubbed_tokens=practised.total_dubbed_tokens,
            total_practice_count=practised.total_practice_count,
            average_completion_rate=practised.average_completion_rate,
            recent_bookmarks=marked.newest,
            recent_dubbed_tokens=practised.recent,
            unavailable=[owner for owner, part in parts.items() if part is None],
        )

    async def _in_time(self, owner: Service, part: Awaitable[Part]) -> Part | None:
        try:
            async with asyncio.timeout(self._part_seconds):
                return await part
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("a part of my page is missing", extra={"upstream": owner, "error": repr(error)})
            MISSING.labels(owner).inc()
            return None

    async def _part(self, owner: Service, path: str, kind: type[M]) -> M:
        return kind.model_validate(await self._upstreams.get_json(owner, path))

    async def _account(self, authorization: str) -> Account:
        headers = asking({"Authorization": authorization})
        async with self._upstreams.request(Service.AUTH, "GET", "/api/auth/me", "", headers=headers) as answer:
            if answer.status == HTTPStatus.UNAUTHORIZED:
                raise Unauthenticated(_detail(await answer.read()))
            answer.raise_for_status()
            return Account.model_validate(await answer.json(content_type=None))


def _detail(problem: bytes) -> str:
    """Why auth does not know the caller: it is gone, or was switched off since the token was issued."""
    try:
        return str(json.loads(problem)["detail"])
    except (ValueError, LookupError, TypeError):
        return INVALID

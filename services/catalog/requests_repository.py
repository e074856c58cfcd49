"""The SQL of video requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.learner_models import VIDEO_REQUESTS, RequestStatus
from services.catalog.paging import Page


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A film that somebody wants to practise with. Times are aware, in UTC."""

    id: int
    user_id: int
    actor: str
    content: str
    url: str
    status: RequestStatus
    created_at: datetime


async def add(connection: AsyncConnection, user_id: int, *, actor: str, content: str, url: str) -> VideoRequest | None:
    """A new request, or None when another one of this person is under review."""
    row = {"user_id": user_id, "actor": actor, "content": content, "url": url, "status": RequestStatus.UNDER_REVIEW}
    new = insert(VIDEO_REQUESTS).values(row).on_conflict_do_nothing().returning(VIDEO_REQUESTS)
    found = (await connection.execute(new)).first()
    return _request(found) if found else None


async def newest(
    connection: AsyncConnection, page: Page | None = None, *, user_id: int | None = None
) -> Sequence[VideoRequest]:
    """Requests of one person or of everybody, the newest first: a page of them, or all."""
    wanted = sa.select(VIDEO_REQUESTS).order_by(VIDEO_REQUESTS.c.id.desc())
    if page is not None:
        wanted = wanted.offset(page.skip).limit(page.limit)
    if user_id is not None:
        wanted = wanted.where(VIDEO_REQUESTS.c.user_id == user_id)
    return [_request(row) for row in await connection.execute(wanted)]


async def set_status(connection: AsyncConnection, request_id: int, status: RequestStatus) -> bool:
    """Whether there is such a request, which has this status now. Raises IntegrityError for a second one under review."""
    change = sa.update(VIDEO_REQUESTS).where(VIDEO_REQUESTS.c.id == request_id).values(status=status)
    return (await connection.execute(change)).rowcount > 0


async def remove_rejected(connection: AsyncConnection, user_id: int, request_id: int) -> bool:
    """Whether this was a rejected request of this person; it is gone then."""
    gone = sa.delete(VIDEO_REQUESTS).where(_theirs(user_id, request_id), VIDEO_REQUESTS.c.status == RequestStatus.REJECTED)
    return (await connection.execute(gone)).rowcount > 0


async def erase(connection: AsyncConnection, user_id: int) -> int:
    """None of this person any more; how many there were."""
    return (await connection.execute(sa.delete(VIDEO_REQUESTS).where(VIDEO_REQUESTS.c.user_id == user_id))).rowcount


async def exists(connection: AsyncConnection, user_id: int, request_id: int) -> bool:
    """Whether this person has such a request."""
    return bool((await connection.execute(sa.select(sa.exists().where(_theirs(user_id, request_id))))).scalar_one())


def _theirs(user_id: int, request_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(VIDEO_REQUESTS.c.id == request_id, VIDEO_REQUESTS.c.user_id == user_id)


def _request(row: sa.Row[tuple[object, ...]]) -> VideoRequest:
    return VideoRequest(**{**row._mapping, "status": RequestStatus(row.status)})

"""Learners ask for films, administrators decide. One request of a person is under review at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from libs.common import deleted_users
from libs.common.acts import Act, Origin, tell
from libs.common.db import Database
from libs.common.people import People
from libs.common.web.auth import Principal
from services.catalog import requests_repository as sql
from services.catalog.errors import AlreadyUnderReview, NotRejected, RequestNotFound, UnknownStatus
from services.catalog.fields import MAX_ID
from services.catalog.learner_models import RequestStatus
from services.catalog.paging import Page
from services.catalog.requests_repository import VideoRequest


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as one viewer sees it; `requester` is None for a name that is not theirs to see, or not known."""

    request: VideoRequest
    requester: str | None


class VideoRequests:
    """Video requests. Names come from `people`, so that a request shows what its author is called now."""

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people

    async def submit(self, caller: Principal, *, actor: str, content: str, url: str) -> Shown:
        """A new request, to be reviewed. Raises `AlreadyUnderReview`, `DeletedUser`."""
        async with self._database.transaction() as tx:
            await deleted_users.hold(tx, caller.user_id)
            request = await sql.add(tx.connection, caller.user_id, actor=actor, content=content, url=url)
            if request is None:
                raise AlreadyUnderReview
        [shown] = await self._shown([request], caller)
        return shown

    async def mine(self, caller: Principal, page: Page) -> list[Shown]:
        """The caller's requests, the newest first."""
        async with self._database.reading() as connection:
            requests = await sql.newest(connection, page, user_id=caller.user_id)
        return await self._shown(requests, caller)

    async def everybodys(self, viewer: Principal, page: Page) -> list[Shown]:
        """All requests, the newest first. Only administrators see who others are."""
        async with self._database.reading() as connection:
            requests = await sql.newest(connection, page)
        return await self._shown(requests, viewer)

    async def decide(self, request_id: int, word: str, by: Origin) -> None:
        """Give a request the status that `word` names. Raises `UnknownStatus`, `RequestNotFound`, `AlreadyUnderReview`."""
        if word not in tuple(RequestStatus):
            raise UnknownStatus
        if not 0 < request_id <= MAX_ID:
            raise RequestNotFound
        try:
            async with self._database.transaction() as tx:
                status = RequestStatus(word)
                if not await sql.set_status(tx.connection, request_id, status):
                    raise RequestNotFound
                tell(tx, Act.VIDEO_REQUEST_REVIEWED, by, thing=f"request:{request_id}", reason=status.name.lower())
        except IntegrityError as error:
            raise AlreadyUnderReview from error

    async def withdraw(self, user_id: int, request_id: int) -> None:
        """Delete a rejected request of this person. Raises `RequestNotFound`, `NotRejected`."""
        if not 0 < request_id <= MAX_ID:
            raise RequestNotFound
        async with self._database.transaction() as tx:
            if await sql.remove_rejected(tx.connection, user_id, request_id):
                return
            raise NotRejected if await sql.exists(tx.connection, user_id, request_id) else RequestNotFound

    async def _shown(self, requests: Sequence[VideoRequest], viewer: Principal) -> list[Shown]:
        visible = {request.user_id for request in requests if viewer.is_admin or request.user_id == viewer.user_id}
        names = {user_id: person.full_name for user_id, person in (await self._people.named(visible)).items()}
        return [Shown(request, names.get(request.user_id)) for request in requests]

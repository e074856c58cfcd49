"""What somebody asks about the archive of their data: have it made, learn whether it is ready, get a link to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from libs.common import deleted_users
from libs.common.acts import Act, Origin, Place, tell
from libs.common.db import Database
from libs.common.storage.base import Storage
from libs.common.web.auth import Principal
from services.audio import export_repository
from services.audio.changes import Clock, utc_now
from services.audio.erasing import erase_export
from services.audio.export_errors import ExportFailed
from services.audio.export_repository import Export, ExportState

LINK_LIFETIME = timedelta(minutes=10)  # to begin the download; who comes later asks for a new one


@dataclass(frozen=True, slots=True)
class Ready:
    """An archive that can be downloaded by `url`. `size` in bytes."""

    url: str
    size: int
    made_at: datetime
    expires_at: datetime


class ExportService:
    """The use case. `links` signs for browsers; `pause` is how old an archive must be before a fresh one is made."""

    def __init__(
        self, database: Database, links: Storage, wake: Callable[[], None], *, pause: timedelta, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._links = links
        self._wake = wake
        self._pause = pause
        self._clock = clock

    async def ask(self, caller: Principal, place: Place, *, fresh: bool) -> Ready | None:
        """The caller's archive; None while it is being made, which begins when there is none.

        One at a time, kept until it expires. `fresh`: a new one in its place, unless it is younger than the pause. One that
        could not be made is told of once (ExportFailed), and begun again when it is asked for after that. Raises DeletedUser.
        """
        now, new_id, user_id = self._clock(), uuid4(), caller.user_id
        key = f"exports/{user_id}/{new_id}/yousync-{now:%Y%m%d}.zip"
        new = Export(new_id, user_id, key, ExportState.REQUESTED, None, 0, None, now, now, None, None)
        async with self._database.transaction() as tx:
            await deleted_users.hold(tx, user_id)
            export = await export_repository.lock(tx.connection, user_id)
            if over := export is not None and self._is_over(export, now, fresh=fresh):
                await erase_export(tx, user_id, now)
            failed = export is not None and export.state is ExportState.FAILED
            if (export is None or over) and not failed and await export_repository.add(tx.connection, new):
                by = Origin(place, user_id, caller.session_id)
                tell(tx, Act.EXPORT_REQUESTED, by, thing=f"export:{new_id}")
        if failed:
            raise ExportFailed
        if export is None or over:
            self._wake()
            return None
        if export.size is None or export.finished_at is None or export.expires_at is None:
            return None
        url = await self._links.signed_url(export.object_key, expires_in=min(LINK_LIFETIME, export.expires_at - now))
        return Ready(url, export.size, export.finished_at, export.expires_at)

    def _is_over(self, export: Export, now: datetime, *, fresh: bool) -> bool:
        if export.finished_at is None or export.expires_at is None:
            return False
        old = fresh and export.finished_at + self._pause <= now
        return export.state is ExportState.FAILED or export.expires_at <= now or old

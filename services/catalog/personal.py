"""Everything that the catalogue keeps of one person, for the archive that they can ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.common.db import Database
from services.catalog import bookmarks_repository, requests_repository
from services.catalog.bookmarks_repository import Bookmark
from services.catalog.requests_repository import VideoRequest


@dataclass(frozen=True, slots=True)
class Belongings:
    """What somebody kept here, the newest first."""

    bookmarks: Sequence[Bookmark]
    requests: Sequence[VideoRequest]


class PersonalData:
    """Reads what belongs to people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: int) -> Belongings:
        """All that there is; of who is unknown, nothing."""
        async with self._database.reading() as connection:
            return Belongings(
                await bookmarks_repository.of_user(connection, user_id),
                await requests_repository.newest(connection, user_id=user_id),
            )

"""What learners do with bookmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.common import deleted_users
from libs.common.db import Database
from services.catalog import bookmarks_repository as sql
from services.catalog import edit_repository
from services.catalog.bookmarks_repository import Bookmark
from services.catalog.errors import AlreadyBookmarked, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.paging import Page

# The web client shows all on my page at once. So many are 150 KB; older ones are at the list, which has pages.
OVERVIEW_MAX = 500


@dataclass(frozen=True, slots=True)
class Overview:
    """Somebody's bookmarks for my page: how many, and the newest `OVERVIEW_MAX`."""

    total: int
    newest: Sequence[Bookmark]


class Bookmarks:
    """Bookmarks, each of one person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_id: int, token_id: int) -> None:
        """Mark a scene. Raises `TokenNotFound`, `AlreadyBookmarked`, `DeletedUser`."""
        async with self._database.transaction() as tx:
            await deleted_users.hold(tx, user_id)
            if not await edit_repository.hold_token(tx.connection, token_id):
                raise TokenNotFound
            if not await sql.add(tx.connection, user_id, token_id):
                raise AlreadyBookmarked

    async def remove(self, user_id: int, token_id: int) -> None:
        """Unmark a scene, whether or not it was marked, whether or not it is there."""
        if 0 < token_id <= MAX_ID:
            async with self._database.transaction() as tx:
                await sql.remove(tx.connection, user_id, token_id)

    async def of_user(self, user_id: int, page: Page) -> Sequence[Bookmark]:
        """Somebody's bookmarks, the newest first."""
        async with self._database.reading() as connection:
            return await sql.of_user(connection, user_id, page)

    async def overview(self, user_id: int) -> Overview:
        """What my page shows of somebody's bookmarks."""
        async with self._database.reading() as connection:
            return Overview(
                await sql.count(connection, user_id), await sql.of_user(connection, user_id, Page(skip=0, limit=OVERVIEW_MAX))
            )

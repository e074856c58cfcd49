"""What becomes of a person's things here when their account is gone."""

import logging

from libs.common import deleted_users
from libs.common.bus.base import Message
from libs.common.contracts.auth import UserDeleted
from libs.common.db import Database
from services.catalog import bookmarks_repository, requests_repository

log = logging.getLogger(__name__)

HANDLER = "catalog.erase"  # in the inbox


class Eraser:
    """Erases what somebody kept in the catalogue: bookmarks, and video requests whatever was decided about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, user: UserDeleted, message: Message) -> None:
        """Leave nothing of a person, also of what they send at this moment. Raises `DatabaseUnavailable`."""
        async with self._database.transaction() as tx:
            if not await tx.first_time(message, HANDLER):
                return
            await deleted_users.bury(tx.connection, user)
            bookmarks = await bookmarks_repository.erase(tx.connection, user.user_id)
            requests = await requests_repository.erase(tx.connection, user.user_id)
        log.info("a person was erased", extra={"user_id": user.user_id, "bookmarks": bookmarks, "requests": requests})

"""Which sessions ended, for gateways that were not there when it was told."""

from libs.common.contracts.auth import RevokedSessions
from libs.common.db import Database
from services.auth import revoked_repository

PAGE = 1000  # sessions in one answer, some 100 KB


class Revoked:
    """What is remembered of ended sessions while their tokens are valid."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, *, after: str = "", within_seconds: int | None = None) -> RevokedSessions:
        """The sessions whose ids follow `after`; only those that ended in the last seconds, if these are given.

        A session that ends between two pages is on neither, if its id comes before. Whoever reads hears of it besides.
        """
        async with self._database.reading() as connection:
            found = await revoked_repository.page(connection, after=after, limit=PAGE, within_seconds=within_seconds)
        return RevokedSessions(sessions=tuple(found), more_after=found[-1].session_id if len(found) == PAGE else None)

    async def forget_old(self) -> None:
        """Forget those of which no token is valid any more."""
        async with self._database.transaction() as tx:
            await revoked_repository.forget(tx.connection)

"""Everything that auth keeps of one person, for the archive that they can ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.common.db import Database
from services.auth import account_repository, acts_repository, repository
from services.auth.acts_repository import RecordedAct, Wanted
from services.auth.repository import Account
from services.auth.session_repository import Session

MOST_ACTS = 10_000  # 2 MB; who signs in ten times a day for a year has 4,000


@dataclass(frozen=True, slots=True)
class Belongings:
    """Who somebody is here: no account for whom there is none (any more). The newest sessions and acts come first."""

    account: Account | None
    sessions: Sequence[Session]
    acts: Sequence[RecordedAct]


class PersonalData:
    """Reads what belongs to people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: int) -> Belongings:
        """All that there is, of acts the newest `MOST_ACTS`."""
        async with self._database.reading() as connection:
            return Belongings(
                await repository.account(connection, user_id),
                await account_repository.sessions(connection, user_id),
                await acts_repository.newest(connection, Wanted(person=user_id), limit=MOST_ACTS),
            )

"""Use cases of the audit log: acts of this service are written in their transaction, those of others when they are heard.

Sign-ins that are refused change nothing and cost strangers nothing, so they are counted, and written once a minute.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from libs.common import inbox
from libs.common.acts import Act, Origin, Place, performed
from libs.common.background import eventually
from libs.common.bus.base import Bus, Message
from libs.common.bus.router import Router
from libs.common.bus.topology import AUTH
from libs.common.contracts.acts import ActPerformed
from libs.common.db import Database, Transaction
from libs.common.errors import Kind, YouSyncError
from services.auth import acts_repository
from services.auth.acts_repository import RecordedAct, Wanted

SERVICE = "auth"
OPERATOR = "yousync"  # where commands of operators happen
# Refusals that are told apart in one minute, by reason, person and network: as many rows a minute at most, and a few more.
MAX_TOLD_APART = 20


async def record(
    tx: Transaction,
    act: Act,
    origin: Origin,
    *,
    account_id: int | None = None,
    thing: str | None = None,
    reason: str | None = None,
    service: str = SERVICE,
) -> None:
    """Write an act of this service; see `performed`. It is in the log if and only if `tx` commits."""
    noted = performed(act, origin, account_id=account_id, thing=thing, reason=reason)
    await acts_repository.add(tx.connection, noted, service=service)


@dataclass(slots=True)
class _Counted:
    """Refusals that are alike: the first of them, and how many."""

    first: ActPerformed
    times: int = 0


class Refusals:
    """Counts sign-ins that were refused. What was counted since the last `flush` goes with a process that is killed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: dict[tuple[str, int | None, str | None], _Counted] = {}

    @contextmanager
    def noticed(self, place: Place) -> Iterator[None]:
        """Counts the refusal that this block raises; what is wrong with us, not with who asks, is none."""
        try:
            yield
        except YouSyncError as refused:
            if refused.kind is not Kind.UNAVAILABLE:
                self.count(refused.code, place, user_id=getattr(refused, "user_id", None))
            raise

    def count(self, reason: str, place: Place, *, user_id: int | None = None) -> None:
        """One more. When very many are to be told apart, the rest of the minute is counted by reason alone."""
        key = (reason, user_id, place.network)
        if key not in self._counted and len(self._counted) >= MAX_TOLD_APART:
            key, place, user_id = (reason, None, None), Place(), None
        if key not in self._counted:
            self._counted[key] = _Counted(performed(Act.SIGN_IN_REFUSED, Origin(place, user_id), reason=reason))
        self._counted[key].times += 1

    async def flush(self) -> None:
        """Write what was counted. When that fails it is counted on."""
        if not self._counted:
            return
        counted, self._counted = self._counted, {}
        try:
            async with self._database.transaction() as tx:
                for each in counted.values():
                    await acts_repository.add(tx.connection, each.first, service=SERVICE, times=each.times)
        except BaseException:
            for key, each in counted.items():
                self._counted.setdefault(key, _Counted(each.first)).times += each.times
            raise


class ActLog:
    """The log as a whole: what others did comes in, what is old goes."""

    def __init__(self, database: Database, *, retention_days: int, inbox_retention_days: int) -> None:
        self._database = database
        self._retention_days = retention_days
        self._inbox_retention_days = inbox_retention_days

    async def keep(self, act: ActPerformed, message: Message) -> None:
        """Write what another service did. Its word is believed; which service says so is the broker's to guard."""
        async with self._database.transaction() as tx:
            if await tx.first_time(message, "auth.acts"):
                await acts_repository.add(tx.connection, act, service=message.source)

    async def about(self, user_id: int, *, limit: int, before: int) -> Sequence[RecordedAct]:
        """What this person did, and what was done to their account, the newest first."""
        async with self._database.reading() as connection:
            return await acts_repository.newest(connection, Wanted(person=user_id, before=before), limit=limit)

    async def forget_old(self) -> None:
        """Forget acts and inbox rows whose time is over."""
        async with self._database.autocommit() as connection:
            while await acts_repository.forget(connection, days=self._retention_days) == acts_repository.BATCH:
                pass
            while await inbox.forget_older_than(connection, self._inbox_retention_days) == inbox.SWEEP_BATCH:
                pass


async def hear(bus: Bus, log: ActLog, *, start: bool) -> None:
    """Keep what other services tell, until cancelled. `start` the bus first, if asked to."""
    if start:
        await eventually(bus.start, what="connecting to the broker")
    router = Router()
    router.on(ActPerformed, log.keep)
    subscription = await bus.consume(AUTH, router)
    try:
        await asyncio.Event().wait()
    finally:
        await subscription.drain()

"""Use cases of notifier: keep what the channel of a job is told, show what a channel was told."""

from prometheus_client import Counter

from libs.common import inbox
from libs.common.bus.base import Bus, Message
from libs.common.contracts.audio import AnalysisErased
from libs.common.contracts.notifier import ChannelHistory, Stored, Told, erased_frame, frame_of
from libs.common.db import Database
from libs.common.frames import send
from services.notifier import repository

FACTS = Counter("yousync_notifier_facts_total", "Facts, by whether they came before (told, repeated)", ["service", "outcome"])


class NotifierService:
    """Keeps the frames that the owners of jobs send, because somebody waits for those, and says so; see `Stored`."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def tell(self, fact: Told, message: Message) -> None:
        """Keep the frame of the fact that `message` brought, for those who were not there or did not hear it.

        A fact that comes again, because this process died before it acknowledged it, does the same again: gateways know its
        frame by the sequence, and the table has it. A late one fills its hole in the history.
        Raises `DatabaseUnavailable`, `BusUnavailable`.
        """
        frame = frame_of(fact)
        new = await repository.store(self._database, frame, message)
        FACTS.labels("notifier", "told" if new else "repeated").inc()
        await send(self._bus, Stored(channel=frame.channel, sequence=frame.sequence))

    async def erase(self, fact: AnalysisErased, message: Message) -> None:
        """Forget what the channel of an erased job was told. Raises `DatabaseUnavailable`."""
        async with self._database.autocommit() as connection:
            await repository.erase(connection, erased_frame(fact), message)

    async def history(self, channel: str, after: int) -> ChannelHistory:
        """What `channel` was told after the frame with sequence `after`."""
        return await repository.history(self._database, channel, after)

    async def sweep(self, retention_days: int, inbox_days: int) -> None:
        """Forget the frames and the inbox rows that are older than that."""
        async with self._database.autocommit() as connection:
            while await repository.forget_older_than(connection, retention_days) == repository.SWEEP_BATCH:
                pass
            while await inbox.forget_older_than(connection, inbox_days) == inbox.SWEEP_BATCH:
                pass

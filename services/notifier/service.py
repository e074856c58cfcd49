"""Use cases of notifier: tell a channel of a job's new state, show what a channel was told."""

from typing import Any

from prometheus_client import Counter

from libs.common.bus.base import PARTITIONS, Bus
from libs.common.contracts.audio import AnalysisCancelled, AnalysisCompleted, AnalysisFailed, AudioUploaded, JobFact
from libs.common.contracts.notifier import ChannelHistory, Frame, Stored, job_channel, partition_of
from libs.common.db import Database
from services.notifier import repository

FACTS = Counter("yousync_notifier_facts_total", "Facts, by whether they came before (told, repeated)", ["service", "outcome"])


def frame_of(fact: AudioUploaded | JobFact) -> Frame:
    """What clients are told of `fact`: the whole state of the job, in the words and the order of keys that they know.

    They know no cancelled jobs, and stop listening at a failed one. Pure: the same fact makes the same frame for ever.
    """
    match fact:
        case AudioUploaded():
            return _frame(fact, "processing", 40, "S3 업로드")
        case AnalysisCompleted():
            return _frame(fact, "completed", 100, "분석 완료", fact.result)
        case AnalysisFailed() | AnalysisCancelled():
            return _frame(fact, "failed", 0, fact.message)
        case _:
            return _frame(fact, "processing", fact.progress, fact.message)


def _frame(
    fact: AudioUploaded | JobFact, status: str, progress: int, message: str, result: dict[str, Any] | None = None
) -> Frame:
    return Frame(
        channel=job_channel(fact.job_id),
        sequence=fact.sequence,
        final=status != "processing",
        data={"job_id": fact.job_id, "status": status, "progress": progress, "message": message, "result": result},
    )


class NotifierService:
    """Sends frames first, because somebody waits for them, then stores them and says so; see `Stored`."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def tell(self, fact: AudioUploaded | JobFact) -> None:
        """Tell the channel of the fact's job, and keep the frame for those who were not there.

        A fact that comes again, because this process died before it acknowledged it, does the same again: gateways know its
        frame by the sequence, and the table has it. A late one fills its hole in the history.
        Raises `DatabaseUnavailable`, `BusUnavailable`.
        """
        frame = frame_of(fact)
        try:
            await self._send(frame.channel, frame)
        finally:  # with the bus away too: its streams read the history when it is back
            async with self._database.autocommit() as connection:
                new = await repository.store(connection, frame)
        FACTS.labels("notifier", "told" if new else "repeated").inc()
        await self._send(frame.channel, Stored(channel=frame.channel, sequence=frame.sequence))

    async def _send(self, channel: str, what: Frame | Stored) -> None:
        await self._bus.publish_frame(partition_of(channel, PARTITIONS), what.model_dump_json().encode())

    async def history(self, channel: str, after: int) -> ChannelHistory:
        """What `channel` was told after the frame with sequence `after`."""
        async with self._database.autocommit() as connection:
            return await repository.history(connection, channel, after)

    async def sweep(self, retention_days: int) -> None:
        """Forget the frames that are older than that."""
        async with self._database.autocommit() as connection:
            while await repository.forget_older_than(connection, retention_days) == repository.SWEEP_BATCH:
                pass

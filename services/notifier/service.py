"""Use cases of notifier: tell a channel of a job's new state, show what a channel was told."""

from typing import Any

from prometheus_client import Counter

from libs.common.bus.base import PARTITIONS, Bus
from libs.common.contracts.audio import AnalysisCancelled, AnalysisCompleted, AnalysisFailed, AudioUploaded, JobFact
from libs.common.contracts.notifier import ChannelHistory, job_channel, partition_of
from libs.common.db import Database
from services.notifier import repository

FACTS = Counter("yousync_notifier_facts_total", "Facts by what became of them (told, stale)", ["service", "outcome"])

# What was true before the first change of a job, whose version is 1.
UPLOADED_VERSION = 0


def frame_data(fact: AudioUploaded | JobFact) -> dict[str, Any]:
    """What clients are told of `fact`: the whole state of the job, in the words and the order of keys that they know.

    They know no cancelled jobs, and stop listening at a failed one.
    """
    match fact:
        case AudioUploaded():
            return _data(fact.job_id, "processing", 40, "S3 업로드")
        case AnalysisCompleted():
            return _data(fact.job_id, "completed", 100, "분석 완료", fact.result)
        case AnalysisFailed() | AnalysisCancelled():
            return _data(fact.job_id, "failed", 0, fact.message)
        case _:
            return _data(fact.job_id, "processing", fact.progress, fact.message)


def _data(job_id: str, status: str, progress: int, message: str, result: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"job_id": job_id, "status": status, "progress": progress, "message": message, "result": result}


class NotifierService:
    """Stores frames first and sends them second: whoever misses one on the bus finds it in the table."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def tell(self, fact: AudioUploaded | JobFact, message_id: str) -> None:
        """Tell the channel of the fact's job.

        A late or repeated fact tells nobody anything. A message that comes again, because this process died before it was
        acknowledged, sends its stored frame again: gateways know it by its sequence.
        Raises `DatabaseUnavailable`, `BusUnavailable`.
        """
        channel = job_channel(fact.job_id)
        async with self._database.autocommit() as connection:
            frame = await repository.append(
                connection,
                channel,
                version=fact.version if isinstance(fact, JobFact) else UPLOADED_VERSION,
                final=isinstance(fact, AnalysisCompleted | AnalysisFailed | AnalysisCancelled),
                data=frame_data(fact),
                message_id=message_id,
            )
        FACTS.labels("notifier", "stale" if frame is None else "told").inc()
        if frame is not None:
            await self._bus.publish_frame(partition_of(channel, PARTITIONS), frame.model_dump_json().encode())

    async def history(self, channel: str, after: int) -> ChannelHistory:
        """What `channel` was told after the frame with sequence `after`."""
        async with self._database.autocommit() as connection:
            return await repository.history(connection, channel, after)

    async def sweep(self, retention_days: int) -> None:
        """Forget the channels that ended their retention."""
        async with self._database.autocommit() as connection:
            while await repository.forget_older_than(connection, retention_days) == repository.SWEEP_BATCH:
                pass

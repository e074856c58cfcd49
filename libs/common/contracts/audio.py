"""What `audio` tells the others (facts about takes and jobs), what it asks of analysis servers, and what those report.

A job has one owner, `audio`. Analysis servers only report; a report becomes a fact when `audio` has checked it against the
job's state and lease and committed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from libs.common.contracts.base import Event
from libs.common.contracts.catalog import Word


class Priority(StrEnum):
    """Which work queue a job waits in."""

    HIGH = "high"  # somebody waits live
    NORMAL = "normal"
    LOW = "low"  # batches


class AudioUploaded(Event, name="audio.uploaded"):
    """The bytes of a take are stored completely and look like audio. Nothing is analysed yet: the first fact of its job."""

    job_id: str
    sequence: int  # as in `JobFact`
    take_id: str
    token_id: int
    script_id: int
    user_id: int | None  # None for a take without sign-in
    size: int  # bytes
    media_type: str


class AnalysisRequested(Event, name="analysis.requested"):
    """Work for an analysis server: one attempt at one job, under a lease.

    Every report must carry `job_id` and `lease` back. The lease lasts until `lease_expires_at` and is prolonged by each
    report; after that the job may be given to somebody else, and reports with the old lease change nothing.
    """

    job_id: str
    priority: Priority
    attempt: int  # 1 for the first
    lease: str  # fencing token of this attempt
    lease_seconds: float  # report at least this often
    deadline: datetime  # after this nobody waits any more
    audio_url: str  # signed GET, valid beyond the deadline
    audio_uri: str  # where it lies, s3://bucket/key or file:///key, for servers with storage access of their own
    media_type: str
    token_id: int
    script_id: int
    line_start: float  # seconds, on the clock of the words' times
    line_end: float
    words: tuple[Word, ...] = ()


class JobFact(Event):
    """Common to all facts about a job's life.

    `sequence` counts the facts of the job without gaps: `audio.uploaded` is 1, and after a final fact there is none. The
    job's owner counts, in the transaction of the change, so that whoever hears a fact knows its place without asking.
    """

    job_id: str
    token_id: int
    script_id: int
    user_id: int | None
    sequence: int
    progress: int  # 0..100
    message: str  # for the learner


class AnalysisStarted(JobFact, name="analysis.started"):
    """An analysis server took the job up."""

    attempt: int


class AnalysisProgressed(JobFact, name="analysis.progressed"):
    """The job got further."""


class AnalysisCompleted(JobFact, name="analysis.completed"):
    """The result is committed and can be read by the job's id."""

    result: dict[str, Any]


class AnalysisFailed(JobFact, name="analysis.failed"):
    """The job ended without a result; `message` says to the learner what to do."""

    reason: str  # a stable code for programs


class AnalysisCancelled(JobFact, name="analysis.cancelled"):
    """The learner (or the end of their account) stopped the job."""


class AnalysisReport(Event):
    """What an analysis server claims about the attempt that it holds the lease of."""

    job_id: str
    lease: str
    worker: str  # who reports, for operators


class AnalysisReportStarted(AnalysisReport, name="analysis.report.started"):
    """The worker has the job and begins."""


class AnalysisReportProgressed(AnalysisReport, name="analysis.report.progressed"):
    """The worker got further; also the heartbeat that prolongs the lease."""

    progress: int  # 0..100
    step: str  # which step of the analysis, for the learner


class AnalysisReportCompleted(AnalysisReport, name="analysis.report.completed"):
    """The worker's result: `{"status": "success", "result": {...}}`, stored as it is."""

    result: dict[str, Any]


class AnalysisReportFailed(AnalysisReport, name="analysis.report.failed"):
    """The worker could not do it. A temporary failure is tried again, a permanent one ends the job."""

    reason: str
    message: str
    temporary: bool

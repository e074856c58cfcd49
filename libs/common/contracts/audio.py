"""What `audio` tells the others (facts about takes, films and jobs), what it asks of servers, and what those report.

A job has one owner, `audio`. Analysis servers only report; a report becomes a fact when `audio` has checked it against the
job's state and lease and committed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from libs.common.contracts.base import Event
from libs.common.contracts.catalog import Word


class Priority(StrEnum):
    """Which work queue a job waits in."""

    HIGH = "high"  # somebody waits live
    NORMAL = "normal"
    LOW = "low"  # batches
    FILM = "film"  # a queue of their own: who prepares films is not who analyses takes


class JobKind(StrEnum):
    """What a job is about: a recording, or a film that scenes are to be made of."""

    LINE = "line"  # a take of one script line
    TOKEN = "token"  # noqa: S105  (the catalogue's word for a scene): a take of a whole scene, all its lines in one recording
    FILM = "film"


# Of what is said about takes, whose readers know no films.
TakeKind: TypeAlias = Literal[JobKind.LINE, JobKind.TOKEN]
TakePriority: TypeAlias = Literal[Priority.HIGH, Priority.NORMAL, Priority.LOW]


class AudioUploaded(Event, name="audio.uploaded"):
    """The bytes of a take are stored completely and look like audio. Nothing is analysed yet: the first fact of its job.

    Also the first fact of a job that does an ended one over: the take is the same.
    """

    job_id: str
    sequence: int  # as in `JobFact`
    kind: TakeKind
    take_id: str
    token_id: int
    script_id: int | None  # None for a whole scene
    user_id: int | None  # None for a take without sign-in
    size: int  # bytes
    media_type: str


class AnalysisRequested(Event, name="analysis.requested"):
    """Work for an analysis server: one attempt at one job, under a lease.

    Every report must carry `job_id` and `lease` back. Who takes it reports its start before `claim_before`, else somebody
    else is asked; from then on the lease lasts `lease_seconds` after each report. When it has run out the job may be given
    to somebody else, and reports with the old lease change nothing.
    """

    job_id: str
    kind: TakeKind
    priority: TakePriority
    attempt: int  # 1 for the first
    lease: str  # fencing token of this attempt
    lease_seconds: float  # report at least this often
    claim_before: datetime  # whoever finds the message later than this leaves it alone
    deadline: datetime  # after this nobody waits any more
    audio_url: str  # signed GET, valid beyond the deadline
    audio_uri: str  # where it lies, s3://bucket/key or file:///key, for servers with storage access of their own
    media_type: str
    token_id: int
    script_id: int | None  # None for a whole scene
    line_start: float  # seconds, on the clock of the words' times; when the recording begins: with the line, or the scene
    line_end: float
    words: tuple[Word, ...] = ()  # of all lines, in their order
    textgrid_uri: str | None = None  # the scene's reference objects, where it has them: s3://bucket/key or file:///key
    pitch_uri: str | None = None
    # For servers that only speak HTTP: the result is posted here. Signed for this job and lease, valid as long as the job.
    webhook_url: str | None = None


class JobFact(Event):
    """Common to all facts about a job's life.

    `sequence` counts the facts of the job without gaps: `audio.uploaded` is 1, and after a final fact there is none. The
    job's owner counts, in the transaction of the change, so that whoever hears a fact knows its place without asking.
    """

    job_id: str
    kind: TakeKind
    token_id: int
    script_id: int | None  # None for a whole scene
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


class AnalysisErased(Event, name="analysis.erased"):
    """The recording and all that came of it were erased: whoever keeps anything of the job forgets what it says.

    By the learner; or by `audio`, when nobody owned it and it was old. The job had ended, and nothing will be told of it
    any more.
    """

    job_id: str
    user_id: int  # 0 for a take without sign-in
    sequence: int  # of the job's last fact


class FilmRequested(Event, name="film.requested"):
    """An administrator wants scenes made of a film: the first fact of its job."""

    job_id: str
    sequence: int  # as in `JobFact`
    youtube_url: str  # https://www.youtube.com/watch?v=<id>
    movie_name: str
    actor_name: str


class PreprocessRequested(Event, name="preprocess.requested"):
    """Work for a preprocessor: one attempt at making the scenes of one actor in one film, under a lease.

    It makes the scenes in the catalogue itself (`POST /api/tokens/`, as an administrator) and reports like an analysis server,
    with `analysis.report.*`: the result is `{"token_ids": [1, 2]}`. What is said of leases there holds here, but who has taken
    a film has it until the deadline: nobody else is asked because of silence.
    """

    job_id: str
    attempt: int  # 1 for the first
    lease: str  # fencing token of this attempt
    lease_seconds: float  # report at least this often
    claim_before: datetime  # whoever finds the message later than this leaves it alone
    deadline: datetime  # after this nobody waits any more
    youtube_url: str  # https://www.youtube.com/watch?v=<id>
    movie_name: str
    actor_name: str
    # For preprocessors that only speak HTTP: what they made is posted here. Signed for this job and lease.
    webhook_url: str


class FilmFact(Event):
    """Common to all facts about a film's job after the first; `sequence` as in `JobFact`."""

    job_id: str
    sequence: int
    progress: int  # 0..100
    message: str  # for the administrator


class FilmStarted(FilmFact, name="film.started"):
    """A preprocessor took the job up."""

    attempt: int


class FilmProgressed(FilmFact, name="film.progressed"):
    """The job got further."""


class FilmCompleted(FilmFact, name="film.completed"):
    """The scenes are made, as the preprocessor says, and the result can be read by the job's id."""

    token_ids: tuple[int, ...]
    result: dict[str, Any]


class FilmFailed(FilmFact, name="film.failed"):
    """The job ended without a result."""

    reason: str  # a stable code for programs


class FilmCancelled(FilmFact, name="film.cancelled"):
    """An administrator stopped the job."""


class AnalysisReport(Event):
    """What an analysis server, or a preprocessor, claims about the attempt that it holds the lease of."""

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


class DubbingRequested(Event, name="dubbing.requested"):
    """Work of `audio` for itself: a learner's takes of a scene are to be mixed over its background voice."""

    dubbing_id: str
    user_id: int
    token_id: int
    object_key: str  # where the dubbing goes

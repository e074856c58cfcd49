"""The tables of this service, beside outbox and inbox."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

METADATA = sa.MetaData()

# Our own copy of the catalogue's lines: an upload must not need the catalogue. A deleted line stays as a tombstone, so
# that a late older event does not bring it back and jobs under way still find their words.
SCRIPTS = sa.Table(
    "scripts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("token_id", sa.Integer, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("start_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float, nullable=False),
    sa.Column("script", sa.Text, nullable=False),
    # JSON, not JSONB, here and for results: given back as it came, never searched
    sa.Column("words", sa.JSON, nullable=False),
)

# Of scenes, for recordings of a whole one; with tombstones as well.
TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("token_name", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("start_time", sa.Float, nullable=False),
    sa.Column("end_time", sa.Float, nullable=False),
    sa.Column("s3_textgrid_url", sa.Text),
    sa.Column("s3_pitch_url", sa.Text),
    sa.Column("s3_bgvoice_url", sa.Text),
    sa.Column("category", sa.Text),
    # Every scene has a film: a copy that names none is of before there was this column, and completed when it is shown.
    sa.Column("youtube_url", sa.Text),
    sa.Column("thumbnail_url", sa.Text),
)
SCRIPTS_OF_TOKEN = sa.Index("scripts_token_id", SCRIPTS.c.token_id)

TAKES = sa.Table(
    "takes",
    METADATA,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("user_id", sa.Integer),
    sa.Column("token_id", sa.Integer, nullable=False),
    sa.Column("script_id", sa.Integer),  # none for a recording of the whole scene
    sa.Column("object_key", sa.Text, nullable=False, unique=True),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
# What somebody recorded, and how much; index-only.
TAKES_OF_USER = sa.Index(
    "takes_of_user", TAKES.c.user_id, TAKES.c.token_id, TAKES.c.created_at, postgresql_where=TAKES.c.user_id.is_not(None)
)

# What scenes are made of: one actor in one film. Asked for again, the same row.
FILMS = sa.Table(
    "films",
    METADATA,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("youtube_url", sa.Text, nullable=False),
    sa.Column("movie_name", sa.Text, nullable=False),
    sa.Column("actor_name", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("youtube_url", "movie_name", "actor_name", name="films_key"),
)

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("take_id", UUID(as_uuid=True), sa.ForeignKey("takes.id")),  # a job has either a take or a film
    sa.Column("film_id", UUID(as_uuid=True), sa.ForeignKey("films.id")),
    sa.Column("user_id", sa.Integer),
    sa.Column("token_id", sa.Integer),
    sa.Column("script_id", sa.Integer),
    sa.Column("retry_of", sa.Text, sa.ForeignKey("jobs.id")),
    sa.Column("owner_key", sa.Text, nullable=False),
    sa.Column("turn", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("progress", sa.SmallInteger, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("attempt", sa.SmallInteger, nullable=False),
    sa.Column("lease", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("lease_expires_at", sa.DateTime(timezone=True)),
    sa.Column("dispatch_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("score", sa.Float),  # 0..1, of the result: read once, so that means and ranks need no result
    sa.Column("reason", sa.Text),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("traceparent", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
    sa.CheckConstraint("num_nonnulls(take_id, film_id) = 1 AND (token_id IS NULL) = (take_id IS NULL)", name="jobs_about"),
)
# A film is prepared once at a time: whoever asks meanwhile gets the same job.
OPEN_FILMS = sa.Index(
    "jobs_open_of_film",
    JOBS.c.film_id,
    unique=True,
    postgresql_where=sa.and_(JOBS.c.film_id.is_not(None), JOBS.c.finished_at.is_(None)),
)
# The dispatcher, the sweeper and the gauges look at open jobs only: their cost must not grow with the finished ones.
# No index has a column that a running job's reports change, so that PostgreSQL updates its row without touching any (HOT).
OPEN_JOBS = sa.Index("jobs_open", JOBS.c.state, JOBS.c.deadline, postgresql_where=JOBS.c.finished_at.is_(None))
_QUEUED = JOBS.c.state == "queued"
# Whose turn it is, per priority.
WAITING_JOBS = sa.Index("jobs_waiting", JOBS.c.priority, JOBS.c.turn, JOBS.c.created_at, postgresql_where=_QUEUED)
# What an administrator asked for whose account goes.
FILM_JOBS_BY_OWNER = sa.Index("jobs_of_films_by_owner", JOBS.c.owner_key, postgresql_where=JOBS.c.film_id.is_not(None))
# The last turn that somebody has already.
OWNERS_JOBS = sa.Index("jobs_of_owner", JOBS.c.owner_key, JOBS.c.priority, JOBS.c.turn, postgresql_where=_QUEUED)
# Who has waited longest.
AGEING_JOBS = sa.Index("jobs_ageing", JOBS.c.priority, JOBS.c.dispatch_at, postgresql_where=_QUEUED)
# How long jobs took lately.
COMPLETED_JOBS = sa.Index("jobs_completed", JOBS.c.finished_at, postgresql_where=JOBS.c.state == "completed")
# What somebody has results of, the newest last, and their scores; index-only but for the results.
RESULTS_OF_USER = sa.Index(
    "jobs_results_of_user",
    *(JOBS.c.user_id, JOBS.c.token_id, JOBS.c.script_id, JOBS.c.created_at),
    postgresql_include=["score"],
    postgresql_where=sa.and_(JOBS.c.state == "completed", JOBS.c.user_id.is_not(None)),
)
# Of nobody, the longest ended first; as small as what is kept of them, however much users recorded.
ENDED_OF_NOBODY = sa.Index(
    "jobs_ended_of_nobody",
    JOBS.c.finished_at,
    postgresql_where=sa.and_(JOBS.c.user_id.is_(None), JOBS.c.finished_at.is_not(None)),
)
# Of a take that is to be erased.
JOBS_OF_TAKE = sa.Index("jobs_of_take", JOBS.c.take_id)
# A job is done over once: whoever asks again gets the same new one.
RETRIED_JOBS = sa.Index("jobs_retry_of", JOBS.c.retry_of, unique=True, postgresql_where=JOBS.c.retry_of.is_not(None))

# The turn of the job that was dispatched last, per priority; never falls.
TURNS = sa.Table(
    "turns",
    METADATA,
    sa.Column("priority", sa.Text, primary_key=True),
    sa.Column("turn", sa.BigInteger, nullable=False),
)

# What happened to a job, one row per change, written with it: for people who ask why.
JOB_LOG = sa.Table(
    "job_log",
    METADATA,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),  # of the job after the change
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("event", sa.Text, nullable=False),  # what changed it: uploaded, dispatch, started, .., tick, cancel
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempt", sa.SmallInteger, nullable=False),
    sa.Column("lease", sa.Text),  # the first digits of it: enough to tell attempts apart, too few to report with
    sa.Column("worker", sa.Text),
    sa.Column("reason", sa.Text),  # why the attempt or the job ended, if it did and not well
)

UPLOAD_KEYS = sa.Table(
    "upload_keys",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),  # 0 for nobody signed in
    sa.Column("target", sa.Text, primary_key=True),  # what was recorded: script:<id> or token:<id>
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", deferrable=True, initially="DEFERRED"), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
UPLOAD_KEYS_BY_AGE = sa.Index("upload_keys_created_at", UPLOAD_KEYS.c.created_at)
UPLOAD_KEYS_OF_JOB = sa.Index("upload_keys_job_id", UPLOAD_KEYS.c.job_id)

# Objects that belong to nobody. A row is written with the deletion of what they belonged to, or before the upload. It goes when
# the store has deleted the object, however often that has to be tried; or when a take is made of it.
OBJECTS_TO_ERASE = sa.Table(
    "objects_to_erase",
    METADATA,
    sa.Column("object_key", sa.Text, primary_key=True),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("attempts", sa.SmallInteger, nullable=False),
)
OBJECTS_DUE = sa.Index("objects_to_erase_due_at", OBJECTS_TO_ERASE.c.due_at)

# A learner's takes mixed over a scene's background. The same plan is the same dubbing, however often it is asked for.
DUBBINGS = sa.Table(
    "dubbings",
    METADATA,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    sa.Column("token_id", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("object_key", sa.Text, nullable=False, unique=True),
    sa.Column("state", sa.Text, nullable=False),  # requested | completed | failed
    sa.Column("background", sa.Boolean, nullable=False),  # whether it is, or is to be, in it
    sa.Column("reason", sa.Text),  # of a failed one, and which line's recording is to blame
    sa.Column("script_id", sa.Integer),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),  # when work for it was last sent
    sa.Column("finished_at", sa.DateTime(timezone=True)),
)
DUBBINGS_OF_PLAN = sa.Index("dubbings_of_plan", DUBBINGS.c.user_id, DUBBINGS.c.token_id, DUBBINGS.c.fingerprint, unique=True)
OPEN_DUBBINGS = sa.Index("dubbings_open", DUBBINGS.c.user_id, postgresql_where=DUBBINGS.c.state == "requested")

# Deleted accounts of which something may be left here; a row goes when nothing is. Who is in `deleted_users` stays there.
DEPARTURES = sa.Table(
    "departures",
    METADATA,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("messages_erased", sa.Boolean, nullable=False, server_default=sa.false()),
)

# All that is kept of somebody, as one archive: one of each user. Whoever makes it has a lease on it until `due_at`.
EXPORTS = sa.Table(
    "exports",
    METADATA,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False, unique=True),
    sa.Column("object_key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # requested | completed | failed
    sa.Column("size", sa.BigInteger),
    sa.Column("attempt", sa.SmallInteger, nullable=False),
    sa.Column("lease", UUID(as_uuid=True)),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
)
EXPORTS_DUE = sa.Index("exports_due", EXPORTS.c.due_at, postgresql_where=EXPORTS.c.state == "requested")
EXPORTS_EXPIRING = sa.Index("exports_expiring", EXPORTS.c.expires_at)

"""What must be true of every job and its facts, asked of the databases of `audio` and `notifier`."""

from collections.abc import Mapping
from datetime import timedelta

import asyncpg

from libs.common.contracts.audio import (
    AnalysisCancelled,
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisProgressed,
    AnalysisStarted,
    AudioUploaded,
    FilmCancelled,
    FilmCompleted,
    FilmFailed,
    FilmProgressed,
    FilmRequested,
    FilmStarted,
)
from yousync.audit.report import Finding, Kind

FINAL = [
    *(event.name for event in (AnalysisCompleted, AnalysisFailed, AnalysisCancelled)),
    *(event.name for event in (FilmCompleted, FilmFailed, FilmCancelled)),
]
FACTS = [
    *(event.name for event in (AudioUploaded, AnalysisStarted, AnalysisProgressed)),
    *(event.name for event in (FilmRequested, FilmStarted, FilmProgressed)),
    *FINAL,
]
# A job may be this much over its time: the sweeper comes every few seconds, and first lets one lease pass after a start.
GRACE = timedelta(seconds=90)

_NUMBER = "SELECT count(*) FROM jobs WHERE created_at > now() - $1::interval"
# One statement, hence one moment: a job and its facts change together.
_FACTS = """
WITH facts AS (
  SELECT subject, type, (convert_from(body, 'UTF8')::json ->> 'sequence')::int AS sequence
    FROM outbox WHERE type = ANY($2)
), told AS (
  SELECT subject, count(*) AS number, count(DISTINCT sequence) AS different, max(sequence) AS highest,
         count(*) FILTER (WHERE type = ANY($3)) AS finals
    FROM facts GROUP BY subject
)
SELECT job.id, job.state, job.created_at, job.sequence, coalesce(told.number, 0) AS number,
       coalesce(told.different, 0) AS different, coalesce(told.highest, 0) AS highest, coalesce(told.finals, 0) AS finals,
       job.finished_at IS NOT NULL AS ended
  FROM jobs AS job LEFT JOIN told ON told.subject = 'job:' || job.id
 WHERE job.created_at > now() - $1::interval
   AND (coalesce(told.number, 0), coalesce(told.different, 0), coalesce(told.highest, 0), coalesce(told.finals, 0))
       IS DISTINCT FROM (job.sequence, job.sequence, job.sequence, (job.finished_at IS NOT NULL)::int)
"""
_OVERDUE = """
SELECT id, state, created_at, deadline FROM jobs WHERE finished_at IS NULL AND deadline < now() - $1::interval
"""
_UNHELD = """
SELECT id, state, created_at, lease_expires_at FROM jobs
 WHERE finished_at IS NULL AND state IN ('dispatched', 'running') AND lease_expires_at < now() - $1::interval
   AND deadline >= now() - $1::interval
"""
_NO_RESULT = """
SELECT id, state, created_at FROM jobs
 WHERE created_at > now() - $1::interval AND (state = 'completed') <> (result IS NOT NULL)
"""
_NO_JOB = """
SELECT take.id::text, take.created_at FROM takes AS take
 WHERE take.created_at > now() - $1::interval AND NOT EXISTS (SELECT FROM jobs WHERE jobs.take_id = take.id)
"""
_FRAMES = """
SELECT channel, count(*) FILTER (WHERE final) AS finals, max(sequence) AS highest,
       min(sequence) FILTER (WHERE final) AS ended, min(created_at) AS since
  FROM frames GROUP BY channel
HAVING count(*) FILTER (WHERE final) > 1 OR max(sequence) > min(sequence) FILTER (WHERE final)
"""


async def check_jobs(databases: Mapping[str, asyncpg.Connection], *, days: float) -> tuple[int, list[Finding]]:
    """How many jobs there are of the last `days`, and what is wrong with any."""
    audio, notifier, window = databases["audio"], databases["notifier"], timedelta(days=days)
    findings = []
    for row in await audio.fetch(_FACTS, window, FACTS, FINAL):
        twice = row["number"] > row["different"] or row["finals"] > 1 or row["finals"] > row["ended"]
        text = (
            f"the job ({row['state']}) counts {row['sequence']} facts; told were {row['number']}, {row['different']} different "
            f"numbers up to {row['highest']}, {row['finals']} of them final"
        )
        kind = Kind.DUPLICATE if twice else Kind.GAP
        findings.append(Finding(kind, "audio", "facts", row["id"], f"job:{row['id']}", row["created_at"], text))
    for query, text in ((_OVERDUE, "its deadline was {deadline}"), (_UNHELD, "its lease ran out at {lease_expires_at}")):
        for row in await audio.fetch(query, GRACE):
            told = f"the job is {row['state']} though " + text.format_map(row)
            findings.append(Finding(Kind.STUCK, "audio", "job", row["id"], f"job:{row['id']}", row["created_at"], told))
    for row in await audio.fetch(_NO_RESULT, window):
        told = f"the job is {row['state']} and its result does not fit that"
        findings.append(Finding(Kind.ORPHAN, "audio", "result", row["id"], f"job:{row['id']}", row["created_at"], told))
    findings += [
        Finding(Kind.ORPHAN, "audio", "take", row["id"], "", row["created_at"], "a take without a job")
        for row in await audio.fetch(_NO_JOB, window)
    ]
    for row in await notifier.fetch(_FRAMES):
        told = f"{row['finals']} final frames, the first is number {row['ended']}, and there are frames up to {row['highest']}"
        findings.append(Finding(Kind.DUPLICATE, "notifier", "frame", row["channel"], row["channel"], row["since"], told))
    return await audio.fetchval(_NUMBER, window), findings

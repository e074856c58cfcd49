"""What this service counts. Times are seconds, sizes bytes."""

from prometheus_client import Counter, Gauge, Histogram

SERVICE = "audio"

OPEN_JOBS = Gauge("yousync_audio_jobs", "Jobs that have not ended, by state", ["service", "state"])
FINISHED_JOBS = Counter(
    "yousync_audio_jobs_finished_total", "Jobs that ended, by end and reason", ["service", "state", "reason"]
)
REPORTS = Counter(
    "yousync_audio_reports_total",
    "Reports of analysis servers, by kind and by what became of them (accepted, or why they changed nothing)",
    ["service", "kind", "outcome"],
)
UPLOADED_BYTES = Counter("yousync_audio_uploaded_bytes_total", "Bytes of accepted recordings", ["service"])
UPLOAD_SECONDS = Histogram(
    "yousync_audio_upload_seconds",
    "From the first byte of an accepted recording to its commit",
    ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
OBJECTS_LEFT = Gauge("yousync_audio_objects_to_erase", "Objects of erased recordings that are still to be deleted", ["service"])
ACCOUNTS_LEFT = Gauge("yousync_audio_accounts_to_erase", "Deleted accounts of which something may be left", ["service"])
DUBBINGS = Counter(
    "yousync_audio_dubbings_total", "Dubbings that were mixed, or could not be, and why", ["service", "state", "reason"]
)
MIXING_SECONDS = Histogram(
    "yousync_audio_mixing_seconds",
    "An attempt at mixing a dubbing, from the first byte read to the object stored",
    ["service"],
    buckets=(0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
)
EXPORTS = Counter(
    "yousync_audio_exports_total", "Archives of somebody's data that were made, or could not be", ["service", "state"]
)
EXPORT_SECONDS = Histogram(
    "yousync_audio_export_seconds",
    "An attempt at making an archive of somebody's data, to the object stored",
    ["service"],
    buckets=(0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600),
)
BACKGROUNDS_MISSING = Counter(
    "yousync_audio_backgrounds_missing_total", "Background voices that the catalogue names and the store lacks", ["service"]
)
OVERDUE = Counter("yousync_audio_overdue_jobs_total", "Jobs that the sweeper moved on because time had passed", ["service"])
AGED = Counter("yousync_audio_aged_jobs_total", "Jobs that waited so long that they moved one priority up", ["service"])

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
WAIT_SECONDS = Histogram(
    "yousync_audio_wait_seconds",
    "From the moment a job could be dispatched to its dispatch: what it waited for others",
    ["service", "priority"],
    buckets=_SECONDS,
)
CLAIM_SECONDS = Histogram(
    "yousync_audio_claim_seconds",
    "From the dispatch of a job to its claim by a server",
    ["service", "priority"],
    buckets=_SECONDS,
)
RUN_SECONDS = Histogram(
    "yousync_audio_run_seconds",
    "From the claim of a job to the end of that attempt, by the state that it led to",
    ["service", "priority", "state"],
    buckets=_SECONDS,
)

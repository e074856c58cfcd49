"""What this service counts. Times are seconds."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SERVICE: Final = "analysis"

RUNNING = Gauge("yousync_analysis_running", "Jobs that this process works on", ["service"])
OUTCOMES = Counter("yousync_analysis_outcomes_total", "Attempts by how they ended", ["service", "outcome"])
SECONDS = Histogram(
    "yousync_analysis_seconds",
    "From the claim of a job to its outcome, fetching included",
    ["service"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SERVER_STATE = Gauge(
    "yousync_analysis_server_state",
    "Of the analysis server behind the bridge, by kind of job: 0 asked, 1 asked for one job to see how it goes, 2 left alone",
    ["service", "kind"],
)

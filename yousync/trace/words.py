"""How durations, sizes, states and reasons are said to a person."""

from datetime import timedelta

# What the codes in a job's log mean; one that is not here is shown as it is.
REASONS = {
    "worker_lost": "nothing was heard of the analysis server until its lease ran out",
    "worker_stopping": "the analysis server was stopped and gave the job back",
    "unclaimed": "no analysis server took it from the work queue in time",
    "deadline": "the job's time was up",
    "cancelled": "nobody wanted it any more",
    "invalid_result": "its result could not be stored",
}
STATES = {
    "queued": "waits for its turn",
    "dispatched": "is in a work queue",
    "running": "is being worked on",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def how_long(duration: timedelta) -> str:
    """`13 ms`, `2.1 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`."""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def size(number: int) -> str:
    """Bytes: `812 B`, `43.5 KiB`, `2.1 MiB`."""
    for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"

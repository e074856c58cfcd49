"""Callers that are refused, counted and logged by why: there an attack shows first, and a setting that somebody forgot."""

from prometheus_client import Counter
from starlette.types import Scope

from libs.common.errors import Kind, YouSyncError
from libs.common.telemetry import current

REFUSED = Counter("yousync_refusals_total", "Requests whose caller was not believed or not allowed, by why", ["service", "why"])

_OF_CALLERS = frozenset({Kind.UNAUTHENTICATED, Kind.FORBIDDEN})


def note(scope: Scope, error: YouSyncError) -> None:
    """Count `error` if it refuses its caller, whatever they are told; the request's line in the log says it too.

    A few dozen words in all: they are written in the code, never taken from a request.
    """
    why = error.why or (error.code if error.kind in _OF_CALLERS else "")
    if why:
        REFUSED.labels(current("service") or "-", why).inc()
        scope.setdefault("state", {})["refusal"] = why

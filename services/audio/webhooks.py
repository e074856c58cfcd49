"""Results that servers post which only speak HTTP: reports as any others."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Final

from libs.common.contracts.audio import JobKind
from libs.common.errors import YouSyncError
from services.audio import texts
from services.audio.errors import ResultTooLarge, ResultUnreadable
from services.audio.jobs import Completed, Failed, Report
from services.audio.metrics import REPORTS, SERVICE
from services.audio.results import token_ids
from services.audio.service import JobService
from services.audio.tickets import WebhookSigner

FAILED: Final = ("error", "failed")  # what servers call it in `status`


class WebhookService:
    """The use case: what is posted is a report as any other. `max_bytes` of a body."""

    def __init__(
        self,
        jobs: JobService,
        signer: WebhookSigner,
        *,
        max_bytes: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs = jobs
        self._signer = signer
        self._max_bytes = max_bytes
        self._clock = clock

    async def receive(self, job_id: str, kind: JobKind, ticket: str, body: AsyncIterator[bytes]) -> str:
        """Hear the report in `body`; what became of it, as `JobService.report` says. It is committed when this returns.

        What is refused changes nothing and is counted. Raises WebhookUnsigned, WebhookForged, WebhookExpired before a byte of
        the body is read, then ResultTooLarge, ResultUnreadable, and what `JobService.report` raises.
        """
        try:
            lease = self._signer.lease_of(job_id, kind, ticket, now=self._clock())
            report = _report(lease, kind, await self._whole(body))
        except YouSyncError as error:
            REPORTS.labels(SERVICE, "webhook", error.code).inc()
            raise
        return await self._jobs.report(job_id, "webhook", report, by_holder=False)

    async def _whole(self, body: AsyncIterator[bytes]) -> bytes:
        content = bytearray()
        async for piece in body:
            content += piece
            if len(content) > self._max_bytes:
                raise ResultTooLarge(self._max_bytes)
        return bytes(content)


def _report(lease: str, kind: JobKind, body: bytes) -> Report:
    """What a server says by posting `body`. Its words about a failure are not for learners: they may name what is inside."""
    try:
        # Existing servers write NaN for what they could not measure; JSON has no such thing, and one value less is no loss.
        posted = json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise ResultUnreadable("the body is not a JSON document") from error
    if not isinstance(posted, dict):
        raise ResultUnreadable("the body must be a JSON object")
    if kind is JobKind.FILM:
        return _film_report(lease, posted)
    result: dict[str, Any] = posted
    if kind is JobKind.TOKEN and isinstance(posted.get("analysis_results"), dict):
        result = posted["analysis_results"]
    if posted.get("status") in FAILED or result.get("status") in FAILED:
        return Failed(lease, "analysis_error", texts.GAVE_UP, temporary=True)
    return Completed(lease, result)


def _film_report(lease: str, posted: dict[str, Any]) -> Report:
    """A preprocessor that says it failed is not asked again by itself: it may have made half of the scenes, and costs money."""
    if posted.get("status") in FAILED:
        return Failed(lease, "preprocessing_failed", texts.STEPS[JobKind.FILM].gave_up, temporary=False)
    if token_ids(posted) is None:
        raise ResultUnreadable("token_ids must be the list of the ids of the scenes that were made")
    return Completed(lease, posted)

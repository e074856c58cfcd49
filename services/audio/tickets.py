"""The links on which results are posted: signed for one job and one lease each."""

import hashlib
import hmac
import math
import re
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from libs.common.contracts.audio import JobKind
from services.audio.errors import WebhookExpired, WebhookForged, WebhookUnsigned
from services.audio.jobs import Job

PATHS: Final = {
    JobKind.LINE: "/api/scripts/webhook/analysis-complete",
    JobKind.TOKEN: "/api/tokens/webhook/analysis-complete/",
    JobKind.FILM: "/api/youtube/webhook/process-complete",
}
# <lease>.<valid until, unix seconds>.<HMAC-SHA256 in hex>
_TICKET = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class WebhookSigner:
    """Makes and checks the links. `base_url` is where an analysis server reaches the gateway.

    A link holds the lease of its attempt, so what is posted to it counts exactly as long as a report of that attempt over the
    queue would; it is a secret like the lease itself, and no log may hold it.
    """

    def __init__(self, secret: bytes, base_url: str) -> None:
        # A key of its own, so that nothing else that the secret signs can pass for a ticket.
        self._key = hmac.digest(secret, b"yousync webhook key", hashlib.sha256)
        self._base_url = base_url.rstrip("/")

    def url(self, job: Job) -> str:
        """The link for the attempt that `job` was dispatched for, valid until the job's deadline."""
        assert job.lease is not None
        expires = str(math.ceil(job.deadline.timestamp()))
        ticket = f"{job.lease}.{expires}.{self._signature(job.id, job.kind, job.lease, expires)}"
        # The id comes first, as in the links that existing servers know.
        return f"{self._base_url}{PATHS[job.kind]}?{urlencode({'job_id': job.id, 'ticket': ticket})}"

    def lease_of(self, job_id: str, kind: JobKind, ticket: str, *, now: datetime) -> str:
        """The lease under which a post counts. Raises WebhookUnsigned, WebhookForged, WebhookExpired."""
        if not ticket:
            raise WebhookUnsigned
        parts = _TICKET.fullmatch(ticket)
        if parts is None:
            raise WebhookForged
        lease, expires, signature = parts.groups()
        if not hmac.compare_digest(self._signature(job_id, kind, lease, expires), signature):
            raise WebhookForged
        if now.timestamp() > int(expires):
            raise WebhookExpired
        return lease

    def _signature(self, job_id: str, kind: JobKind, lease: str, expires: str) -> str:
        message = f"{kind.value}\n{job_id}\n{lease}\n{expires}"
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()

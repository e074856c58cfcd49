"""What notifier and audio know about a job: where a stream begins, and where it finds what it missed."""

import asyncio
from dataclasses import dataclass
from typing import Any

from libs.common.contracts.notifier import ChannelHistory
from libs.common.web.auth import Principal
from services.gateway.routes import Service
from services.gateway.upstream import Upstreams

# At once, per service. After a broken bus every open stream asks; the services must go on answering others meanwhile.
CONCURRENCY = 32
ANSWER_SECONDS = 5.0

KEYS = ("job_id", "status", "progress", "message", "result")
FILM_KEYS = ("token_id", "token_ids")  # beside those, of a film's job


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job's state as its owner told it, in the words that clients know, and how many facts it had told of it by then."""

    data: dict[str, Any]
    final: bool
    sequence: int = 0
    owner: int | None = None  # whose it is, of a job with an owner

    def may_see(self, caller: Principal) -> bool:
        """Whether it is shown to somebody who has signed in. Whoever has not is shown it: the job's id is all they have."""
        return self.owner is None or caller.is_admin or caller.user_id == self.owner


class Histories:
    """Reads histories and snapshots. Both raise aiohttp.ClientError, TimeoutError or ValueError: try again later."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def after(self, channel: str, sequence: int) -> ChannelHistory:
        """The channel's frames with a higher sequence."""
        path = f"/internal/channels/{channel}/frames"
        async with self._slots, asyncio.timeout(ANSWER_SECONDS):
            answer = await self._upstreams.get_json(Service.NOTIFIER, path, query=f"after={sequence}")
        return ChannelHistory.model_validate(answer)

    async def snapshot(self, job_id: str) -> Snapshot | None:
        """The state of a job that notifier does not know (yet, or any more); None when there is no such job."""
        async with self._slots, asyncio.timeout(ANSWER_SECONDS):
            answer = await self._upstreams.get_json(Service.AUDIO, f"/internal/jobs/{job_id}")
        if answer is None:
            return None
        if not isinstance(answer, dict):
            raise ValueError("audio answered something that is no job")
        data = {key: answer.get(key) for key in KEYS} | {key: answer[key] for key in FILM_KEYS if key in answer}
        final, owner = data["status"] in ("completed", "failed"), answer.get("user_id")
        return Snapshot(data, final, int(answer.get("sequence", 0)), None if owner is None else int(owner))

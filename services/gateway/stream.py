"""One open event stream: what its client was told, and what is still to be written to it."""

import asyncio
import json
import time
from collections import deque
from contextvars import Context
from typing import Any

from prometheus_client import Counter
from starlette.types import Send

from libs.common.contracts.notifier import Frame, job_channel
from libs.common.web.auth import Principal, SessionEnded

SENT = Counter("yousync_stream_frames_sent_total", "Frames handed to open streams", ["service"]).labels("gateway")

# Frames that may wait for a client that reads slowly. Each is the whole state of the job, so the older ones may go.
BACKLOG = 16
HEARTBEAT = b": \n\n"

# Writing inherits nothing from whoever happens to deliver the frame.
_NO_CONTEXT = Context()


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the wire; a browser sends its `id` back when it reconnects."""
    return b"id: %d\n" % frame.sequence + encode_data(frame.data)


def encode_data(data: dict[str, Any]) -> bytes:
    """The same without a place in a sequence."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


def session_ended(job_id: str) -> bytes:
    """The last frame of a stream whose session ended: clients stop at the status `error`. It has no place in the sequence, so
    that one who comes back with another sign-in goes on where it was."""
    error = SessionEnded()
    said = {"status": "error", "error": error.detail, "code": error.code, "job_id": job_id}
    return encode_data({**said, "message": error.detail, "result": None})


class Stream:
    """Takes frames without ever waiting, and writes them in a task that exists only while there is something to write.

    `seen` is the sequence that the client says it has, `unknown` what it is told when there is no such job. `sequence` is
    that of the last frame handed over; `held` are frames that came while it reads what lies before them. `opener` is who
    opened it; nobody where no sign-in was shown.
    """

    __slots__ = (
        "_backlog",
        "_closing",
        "_send",
        "_writer",
        "begun",
        "catching_up",
        "channel",
        "held",
        "job_id",
        "opener",
        "seen",
        "sequence",
        "stale",
        "unknown",
    )

    def __init__(self, job_id: str, send: Send, *, seen: int | None, unknown: bytes, opener: Principal | None = None) -> None:
        self.job_id = job_id
        self.channel = job_channel(job_id)
        self.opener = opener
        self.seen = seen
        self.unknown = unknown
        self.sequence = 0
        self.held: tuple[Frame, ...] = ()
        self.begun = False  # whether the client knows the job's state
        self.stale = False  # whether what is being read now may miss something
        self.catching_up: asyncio.Task[None] | None = None
        self._send = send
        self._backlog: deque[bytes] | None = None  # made when needed: most streams are idle most of the time
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def known(self) -> int:
        """The highest sequence that was handed over or will be."""
        return max((self.sequence, *(frame.sequence for frame in self.held)))

    @property
    def closing(self) -> bool:
        """Nothing more is taken; what waits is still written."""
        return self._closing

    def put(self, frames: bytes, *, count: int = 1, last: bool = False) -> None:
        """Hand over `count` encoded frames; with `last` the stream ends behind them."""
        if self._closing:
            return
        if self._backlog is None:
            self._backlog = deque(maxlen=BACKLOG)
        self._backlog.append(frames)
        SENT.inc(count)
        self._closing = last
        self._write()

    def beat(self) -> None:
        """Write a comment, unless the client is behind with reading anyway.

        A stream ends with the token that opened it: what ended sessions are known by is forgotten then, too. Its client comes
        back with the next token and misses nothing.
        """
        if self.opener is not None and self.opener.expires_at < time.time():
            self.close()
        elif self._writer is None and not self._closing:
            self._backlog = deque((HEARTBEAT,), maxlen=BACKLOG)
            self._write()

    def close(self) -> None:
        """End the stream behind what waits."""
        if not self._closing:
            self._closing = True
            self._write()

    def abandon(self) -> None:
        """The client is gone: stop everything that runs for it."""
        self._closing = True
        for task in (self._writer, self.catching_up):
            if task is not None:
                task.cancel()

    def _write(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_all(), context=_NO_CONTEXT)

    async def _write_all(self) -> None:
        """Everything that waits goes out in one write; it suspends only while the client's connection is full."""
        try:
            ended = False
            while self._backlog or (self._closing and not ended):
                body = b"".join(self._backlog or ())
                self._backlog = None
                ended = self._closing
                await self._send({"type": "http.response.body", "body": body, "more_body": not ended})
        finally:
            self._writer = None

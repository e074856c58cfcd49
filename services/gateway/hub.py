"""All open event streams of this process, and what keeps each of them exact.

Frames on the bus may be lost; a stream is exact because it knows the sequence of the last frame that it handed over. A
frame that follows it goes out at once. After one that does not (a gap) and after the bus was away a stream reads what is
missing from notifier's table, as one that has just opened reads where it begins. Frames that come meanwhile are held.

A frame is sent before it is stored. Hence a stream may hear neither the frame nor find it, when it began in between; then it
hears that the frame is `Stored` by now and reads again.
"""

import asyncio
import logging
from collections import Counter as Multiset
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
from prometheus_client import Counter, Gauge

from libs.common.bus.base import PARTITIONS, Bus, BusUnavailable, FrameListener
from libs.common.contracts.notifier import HEARD, ChannelHistory, Frame, Stored, partition_of
from libs.common.web.auth import Principal
from services.gateway.history import Histories
from services.gateway.stream import BACKLOG, Stream, encode, encode_data, session_ended

log = logging.getLogger(__name__)

OPEN = Gauge("yousync_open_streams", "Open event streams", ["service"]).labels("gateway")
GAPS = Counter("yousync_stream_gaps_total", "Times that a stream missed a frame and read it from notifier", ["service"]).labels(
    "gateway"
)

# What a stream waits between tries while notifier, audio or the bus do not answer.
RETRY_SECONDS = 2.0
# How long a stream waits for the bus before it goes on with what notifier's table has.
BIND_SECONDS = 1.0
# Heartbeats are spread over their interval, so that 10,000 of them are no burst that live frames would wait behind.
SLICES = 64


class Hub:
    """Joins streams to what is heard on the bus. Belongs to one event loop; nothing here waits for a client."""

    def __init__(self, bus: Bus, histories: Histories, *, heartbeat_seconds: float) -> None:
        self._bus = bus
        self._histories = histories
        self._heartbeat_seconds = heartbeat_seconds
        self._streams: dict[str, set[Stream]] = {}  # by channel
        self._of_sessions: dict[str, set[Stream]] = {}  # by session, where a sign-in was shown
        self._beats: list[set[Stream]] = [set() for _ in range(SLICES)]
        self._open = 0
        self._users: Multiset[int] = Multiset()  # open streams by partition
        self._bound: set[int] = set()
        self._binding = asyncio.Lock()
        self._listener: FrameListener | None = None
        self.stopping = False

    def __len__(self) -> int:
        return self._open

    async def listen(self) -> None:
        """Hear frames from now on."""
        self._listener = await self._bus.listen_frames(self._hear, on_reconnect=self.resume)

    async def beat(self) -> None:
        """Keep streams open and let go of partitions that nobody needs any more, for ever."""
        while True:
            for slice_ in self._beats:
                await asyncio.sleep(self._heartbeat_seconds / SLICES)
                for stream in tuple(slice_):
                    stream.beat()
            await self._unbind_unused()

    def stop(self) -> None:
        """End all streams now, each behind what waits to be written; their clients reconnect, to another replica."""
        self.stopping = True
        for streams in tuple(self._streams.values()):
            for stream in tuple(streams):
                stream.close()

    async def close(self) -> None:
        """Stop listening; for an app that ends while the bus goes on."""
        self.stop()
        if self._listener is not None:
            await self._listener.close()

    def join(self, stream: Stream) -> None:
        """Serve `stream` from now on: where it begins, what it missed, then live frames up to the final one."""
        self._streams.setdefault(stream.channel, set()).add(stream)
        self._beats[hash(stream) % SLICES].add(stream)
        self._users[_partition(stream)] += 1
        self._open += 1
        OPEN.set(self._open)
        if stream.opener is not None:
            self._of_sessions.setdefault(stream.opener.session_id, set()).add(stream)
        self._catch_up(stream)

    def leave(self, stream: Stream) -> None:
        """The client is gone, or was told everything."""
        stream.abandon()
        streams = self._streams[stream.channel]
        streams.discard(stream)
        if not streams:
            del self._streams[stream.channel]
        if stream.opener is not None:
            of_session = self._of_sessions[stream.opener.session_id]
            of_session.discard(stream)
            if not of_session:
                del self._of_sessions[stream.opener.session_id]
        self._beats[hash(stream) % SLICES].discard(stream)
        self._users[_partition(stream)] -= 1
        self._open -= 1
        OPEN.set(self._open)

    def end_session(self, session_id: str) -> None:
        """A session ended: its streams end, and say why."""
        for stream in tuple(self._of_sessions.get(session_id, ())):
            stream.put(session_ended(stream.job_id), last=True)

    async def resume(self) -> None:
        """The bus is back after a break: every stream may have missed something."""
        for streams in tuple(self._streams.values()):
            for stream in streams:
                self._catch_up(stream)

    async def _hear(self, partition: int, body: bytes) -> None:
        """One message from the bus. A frame is encoded once for all that listen."""
        heard = HEARD.validate_json(body)
        streams = self._streams.get(heard.channel)
        if streams is None:
            return
        if isinstance(heard, Stored):
            for stream in streams:
                if heard.sequence > stream.known:
                    self._missed(stream)
            return
        encoded = encode(heard)
        for stream in tuple(streams):
            if heard.sequence <= stream.sequence:
                continue
            if stream.catching_up is None and heard.sequence == stream.sequence + 1:
                stream.sequence = heard.sequence
                stream.put(encoded, last=heard.final)
                continue
            stream.held = (*stream.held, heard)[-BACKLOG:]
            if stream.catching_up is None:
                self._missed(stream)

    def _missed(self, stream: Stream) -> None:
        if stream.catching_up is None:
            GAPS.inc()
        self._catch_up(stream)

    def _catch_up(self, stream: Stream) -> None:
        """Have `stream` read what it misses, and once more if it is reading just now."""
        stream.stale = True
        if stream.catching_up is None:
            stream.catching_up = asyncio.create_task(self._read_until_current(stream))

    async def _read_until_current(self, stream: Stream) -> None:
        """What does not answer is asked again for as long as the client stays; it must not hear a false "not found"."""
        try:
            while not stream.closing:
                # Bound before the read: what is told after the read is heard, what was told before is read.
                bound = await self._bind(_partition(stream))
                stream.stale = False
                try:
                    await self._read(stream)
                    self._tell_held(stream)
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    log.info("a stream cannot go on yet", extra={"channel": stream.channel, "error": repr(error)})
                    bound, stream.stale = False, True
                if bound and not stream.stale:
                    return
                if not bound:
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            stream.catching_up = None

    async def _read(self, stream: Stream) -> None:
        if stream.begun:
            history = await self._histories.after(stream.channel, stream.sequence)
            self._tell(stream, history, history.frames)
        elif await self._is_hidden_from(stream.opener, stream.job_id):
            stream.put(stream.unknown, last=True)
        else:
            await self._begin(stream)

    async def _is_hidden_from(self, opener: Principal | None, job_id: str) -> bool:
        if opener is None:
            return False
        job = await self._histories.snapshot(job_id)
        return job is not None and not job.may_see(opener)

    async def _begin(self, stream: Stream) -> None:
        """The newest frame, or all after the one that the client had seen when its last connection broke."""
        history = await self._histories.after(stream.channel, stream.seen or 0)
        if stream.seen is not None and stream.seen > history.last_sequence:
            if await self._goes_on_ahead(stream, history):
                stream.begun = True
                return
            stream.seen = None
            history = await self._histories.after(stream.channel, 0)
        if history.last_sequence > 0:
            self._tell(stream, history, history.frames[-1:] if stream.seen is None else history.frames)
        elif (snapshot := await self._histories.snapshot(stream.job_id)) is not None:
            stream.sequence = snapshot.sequence  # frames up to here have nothing new
            stream.put(encode_data(snapshot.data), last=snapshot.final)
        else:
            stream.put(stream.unknown, last=True)
        stream.begun = True

    async def _goes_on_ahead(self, stream: Stream, history: ChannelHistory) -> bool:
        """Whether the client has seen a frame that notifier has yet to store: it was sent before. Then it waits for the next.

        Only the job's owner can tell this from an id that nobody gave out.
        """
        job = await self._histories.snapshot(stream.job_id)
        if job is None or stream.seen is None or job.sequence < stream.seen:
            return False
        if job.sequence > stream.seen and not history.last_sequence:
            return False  # notifier may have forgotten it all: nothing will follow
        stream.sequence = stream.seen
        if job.final and job.sequence == stream.seen:
            stream.close()
        return True

    def _tell(self, stream: Stream, history: ChannelHistory, frames: Sequence[Frame]) -> None:
        stream.sequence = max(stream.sequence, history.last_sequence)
        if frames:
            stream.put(b"".join(map(encode, frames)), count=len(frames))
        if history.final:
            stream.close()

    def _tell_held(self, stream: Stream) -> None:
        """What was heard during the read and was not stored yet; what is older than the read's newest is in it, or late."""
        held, stream.held = stream.held, ()
        for frame in sorted(held, key=lambda frame: frame.sequence):
            if frame.sequence > stream.sequence:
                stream.sequence = frame.sequence
                stream.put(encode(frame), last=frame.final)

    async def _bind(self, partition: int) -> bool:
        """Whether frames of `partition` are heard from now on. A bus that is away remembers the binding, but hears nothing."""
        if partition in self._bound:
            return self._bus.connected
        try:
            async with asyncio.timeout(BIND_SECONDS), self._binding:
                if partition not in self._bound and self._listener is not None:
                    await self._listener.bind(partition)
                    self._bound.add(partition)
        except (BusUnavailable, TimeoutError):
            pass
        return partition in self._bound and self._bus.connected

    async def _unbind_unused(self) -> None:
        """Not at once when the last stream leaves: with 256 partitions the next one to join often needs it again."""
        for partition in tuple(self._bound):
            async with self._binding:
                if self._listener is None or self._users[partition]:
                    continue
                self._bound.discard(partition)
                with suppress(BusUnavailable):  # a partition too many costs nothing but a few frames
                    await self._listener.unbind(partition)


def _partition(stream: Stream) -> int:
    return partition_of(stream.channel, PARTITIONS)

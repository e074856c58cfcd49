"""The way from one process to the broker, on which connections can die as they do when a cable is pulled: without a word."""

import asyncio
from contextlib import suppress

from yarl import URL

CHUNK = 65536


class Proxy:
    """Passes TCP connections on to the broker of `url`; `url` of the proxy itself holds after `start`."""

    def __init__(self, url: str) -> None:
        self._to = URL(url)
        self._server: asyncio.Server | None = None
        self._flows: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._dead: list[asyncio.StreamWriter] = []  # kept, or their end would be told to the other side
        self.url = ""

    async def start(self) -> None:
        """Listen on a free loopback port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = str(self._to.with_port(self._server.sockets[0].getsockname()[1]))

    def silence(self) -> int:
        """From now on nothing more comes through the present connections, in either direction, and neither side is told.

        New ones are let through. Returns how many there were.
        """
        silenced = len(self._open) // 2
        self._dead += self._open
        self._open.clear()
        for flow in self._flows:
            flow.cancel()
        for writer in self._dead:
            with suppress(RuntimeError):  # it is paused already, its buffer is full
                writer.transport.pause_reading()  # type: ignore[attr-defined]
        return silenced

    async def stop(self) -> None:
        """Break everything off."""
        if self._server is not None:
            self._server.close()
        for flow in self._flows:
            flow.cancel()
        for writer in (*self._open, *self._dead):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._to.host, self._to.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, back}
        self._open |= pair
        flows = [asyncio.create_task(self._pass(*flow)) for flow in ((reader, back), (there, writer))]
        self._flows.update(flows)
        await asyncio.wait(flows)
        self._flows.difference_update(flows)
        if pair <= self._open:
            self._open -= pair
            for each in pair:
                each.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):  # the latter: uvloop's word for a connection that was just aborted
            while chunk := await source.read(CHUNK):
                sink.write(chunk)
                await sink.drain()
            sink.write_eof()

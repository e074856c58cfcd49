"""The way to a broker, which can be cut, stopped, or made to change bytes."""

import asyncio
from contextlib import suppress

from yarl import URL


class Proxy:
    """The way to the broker, which can be cut."""

    rewrite = (b"", b"")  # bytes that are replaced on the way

    def __init__(self, url: str) -> None:
        self._to = URL(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._pipes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.flows = asyncio.Event()
        self.flows.set()
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = str(self._to.with_port(self._server.sockets[0].getsockname()[1]))

    def cut(self) -> None:
        """Break all connections; new ones are let through."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        self.flows.set()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._to.host, self._to.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pipe(source, sink))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(65536):
                await self.flows.wait()
                sink.write(chunk.replace(*self.rewrite))
                await sink.drain()
        sink.close()

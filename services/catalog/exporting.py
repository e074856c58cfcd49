"""The export: the whole catalogue at one moment, as one document that the import takes.

One transaction reads everything into a file, and what is in the file is sent: a reader who is slow holds no transaction open,
and neither side needs more memory than a batch. Melodies are read from the object store after that. An export that cannot go
on breaks off, and nobody can take its half for a document.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from tempfile import TemporaryFile
from typing import IO, Any

from libs.common.db import Database
from services.catalog import export_repository as sql
from services.catalog.storage import SceneObjects, object_key

CHUNK_BYTES = 256 * 1024
MELODIES_AT_ONCE = 8  # that are read from the object store, each up to 8 MiB


class Exporter:
    """Writes the catalogue out."""

    def __init__(self, database: Database, objects: SceneObjects) -> None:
        self._database = database
        self._objects = objects

    async def run(self) -> AsyncGenerator[bytes, None]:
        """The document in chunks. Raises `Unavailable`."""
        keys: dict[str, None] = {}  # a set in the order in which scenes name them
        with TemporaryFile() as file:
            spool = _Spool(file)
            writing = asyncio.create_task(self._write(spool, keys))
            try:
                async for chunk in spool.follow(writing):
                    yield chunk
            finally:
                writing.cancel()
                await asyncio.wait([writing])
        yield b',\n"pitch": {'
        async for melody in self._melodies(list(keys)):
            yield melody
        yield b"}}\n"

    async def _write(self, spool: "_Spool", keys: dict[str, None]) -> None:
        async with self._database.reading() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            for index, (kind, entries) in enumerate(sql.KINDS.items()):
                await spool.write((b",\n" if index else b"{") + _json(kind) + b": [")
                await self._write_entries(spool, entries(connection), keys)
                await spool.write(b"]")

    async def _write_entries(
        self, spool: "_Spool", batches: AsyncIterator[list[dict[str, Any]]], keys: dict[str, None]
    ) -> None:
        first = True
        async for entries in batches:
            for entry in entries:
                if (key := object_key(entry.get("s3_pitch_url") or "")) is not None and key:
                    keys[key] = None
            lines = await asyncio.to_thread(_lines, entries)
            await spool.write(lines if first else b"," + lines)
            first = False

    async def _melodies(self, keys: list[str]) -> AsyncIterator[bytes]:
        first = True
        for begin in range(0, len(keys), MELODIES_AT_ONCE):
            some = keys[begin : begin + MELODIES_AT_ONCE]
            async with asyncio.TaskGroup() as group:
                reading = {key: group.create_task(self._objects.stored_pitch(key)) for key in some}
            for key, task in reading.items():
                if (melody := task.result()) is not None:
                    yield (b"\n" if first else b",\n") + _json(key) + b": " + melody
                    first = False


class _Spool:
    """A file that is read while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._grown = asyncio.Event()

    async def write(self, content: bytes) -> None:
        await asyncio.to_thread(self._append, content)
        self._grown.set()

    def _append(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()

    async def follow(self, writing: asyncio.Task[None]) -> AsyncIterator[bytes]:
        """What `writing` writes, to its end; raises what it raises."""
        writing.add_done_callback(lambda _: self._grown.set())
        offset = 0
        while True:
            await self._grown.wait()
            self._grown.clear()
            finished = writing.done()
            while chunk := await asyncio.to_thread(os.pread, self._file.fileno(), CHUNK_BYTES, offset):
                offset += len(chunk)
                yield chunk
            if finished:
                writing.result()
                return


def _lines(entries: Iterable[dict[str, Any]]) -> bytes:
    """One entry a line, so that two exports can be compared; what is empty is left out."""
    shown = ({name: value for name, value in entry.items() if value is not None} for entry in entries)
    return b",".join(b"\n" + _json(entry) for entry in shown)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

"""A ZIP that is written as it is read, from any number of files of any size: in memory is what nobody has taken yet.

Sizes and checksums follow the data of each file (PKWARE APPNOTE 6.3.10, section 4.4.4), as a stream cannot be gone back in.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, datetime
from stat import S_IFREG
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

MEDIA_TYPE = "application/zip"


class Archive:
    """Yield what `add` yields for each file, one after the other, then what `end` does."""

    def __init__(self) -> None:
        self._out = _Out()
        self._zip = ZipFile(self._out, "w")  # type: ignore[call-overload]  # it asks for no more than `_Out` can

    async def add(self, name: str, pieces: AsyncIterable[bytes], *, at: datetime, packed: bool = False) -> AsyncIterator[bytes]:
        """A file of `pieces`, made `at`. `packed`: compressed, which holds up the event loop some 20 ms for each megabyte of a
        piece; not for what is compressed already.
        """
        entry = ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
        entry.compress_type = ZIP_DEFLATED if packed else ZIP_STORED
        entry.external_attr = (S_IFREG | 0o600) << 16
        with self._zip.open(entry, "w", force_zip64=True) as file:
            async for piece in pieces:
                file.write(piece)
                yield self._out.take()
                await asyncio.sleep(0)  # neither the pieces nor their taker need ever wait for anything
        yield self._out.take()

    def end(self) -> bytes:
        """The list of all files."""
        self._zip.close()
        return self._out.take()


class _Out:
    """Cannot seek and says so by having no `tell`."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing lies anywhere else."""

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken

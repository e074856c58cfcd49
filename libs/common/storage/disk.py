"""Objects on the local disk: for a laptop, for tests, for one machine.

    root/
      objects/3f/3f9a….wav        the bytes, and nothing else: other programs may open them (`DiskStorage.uri`)
      objects/3f/3f9a….wav.json   key and media type
      incoming/                   what is still being written
      lock                        held while the two files of one object change together

Files are named by the SHA-256 of the key. So no key can reach outside the folder, `a` and `a/b` can both exist as in S3,
a key may be longer than a file name, and a file system that folds case or Unicode forms cannot merge two keys. The media
type is in a file beside the bytes: extended attributes are lost by many file systems and backup tools, and a header in
front of the bytes would hide them from other programs.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import BinaryIO, ParamSpec, TypeVar

from libs.common.storage.base import ObjectNotFound, StorageUnavailable, StoredObject, check_key, check_media_type
from libs.common.storage.cancellation import run_to_end
from libs.common.storage.signing import UrlSigner

READ_BYTES = 256 * 1024
WRITE_BYTES = 1024 * 1024  # collected before a hop to a thread (about 0.1 ms), which then costs less than the write
ABANDONED_AFTER = 24 * 3600.0  # seconds without a write; no upload takes that long, so its process must have died

P = ParamSpec("P")
T = TypeVar("T")
_EXTENSION = re.compile(r"\.[a-z0-9]{1,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DiskFile:
    """Where an object's bytes are, and what was true of them at one moment."""

    path: Path
    stat: os.stat_result
    media_type: str


class DiskStorage:
    """`Storage` in one folder. Any number of processes may share it; every call works in threads.

    One gap is known and kept: a power cut between the two renames of an overwrite leaves the old bytes with the new media
    type. It takes a key that is used twice with different media types, which no service of ours does.
    """

    def __init__(self, root: Path, *, signing_key: bytes, public_url: str) -> None:
        self._root = root.resolve()
        self._objects = self._root / "objects"
        self._incoming = self._root / "incoming"
        self._lock = self._root / "lock"
        self.signer = UrlSigner(signing_key, public_url)

    async def start(self) -> None:
        """Make the folder when it is not there, and remove what crashed processes left unfinished in it."""
        await _in_thread(self._prepare)
        await self.check()

    async def close(self) -> None:
        """Nothing to do: no file stays open between calls."""

    async def check(self) -> None:
        """Write and remove an empty file: proves that the disk is there, writable and has room for an entry."""
        probe = _Incoming(self._incoming)
        try:
            await _in_thread(probe.create)
        finally:
            await _in_thread(probe.discard)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
        """See `Storage.put`. The object survives a power cut once this returns (file and folder are synced)."""
        path = self._path(key)
        description = json.dumps({"key": key, "media_type": check_media_type(media_type)}, ensure_ascii=False)
        incoming = _Incoming(self._incoming)
        buffer = bytearray()
        try:
            await _in_thread(incoming.create)
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= WRITE_BYTES:
                    await _in_thread(incoming.write, buffer)
                    buffer = bytearray()
            await _in_thread(incoming.write, buffer)
            await _in_thread(incoming.seal, description)
            await _in_thread(self._publish, incoming, path)
        except BaseException:
            await _in_thread(incoming.discard)
            raise
        return StoredObject(key, incoming.size, media_type)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `Storage.read`. A reader that has begun gets its object to the end, also when it is replaced or deleted."""
        file = await _in_thread(self._open, self._path(key))
        try:
            while chunk := await _in_thread(file.read, READ_BYTES):
                yield chunk
        finally:
            file.close()

    async def stat(self, key: str) -> StoredObject:
        """See `Storage.stat`."""
        found = await self.find(key)
        return StoredObject(key, found.stat.st_size, found.media_type)

    async def find(self, key: str) -> DiskFile:
        """The file that holds the object; raises `ObjectNotFound`."""
        return await _in_thread(self._find, self._path(key))

    async def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        await _in_thread(self._remove, self._path(key))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """See `Storage.keys`: reads the description of every object."""
        for folder in await _in_thread(lambda: list(self._objects.iterdir())):
            for key in await _in_thread(self._keys_in, folder):
                if key.startswith(prefix):
                    yield key

    async def signed_url(self, key: str, *, expires_in: timedelta) -> str:
        """See `Storage.signed_url`; `disk_http.disk_objects_router` answers it."""
        return self.signer.url(check_key(key), expires_in=expires_in)

    def uri(self, key: str) -> str:
        """`file:///...` of the object's bytes."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        digest = hashlib.sha256(check_key(key).encode()).hexdigest()
        # The ending is kept for people and players that look at the folder; it means nothing to us.
        extension = PurePosixPath(key).suffix
        ending = extension if _EXTENSION.fullmatch(extension) else ""
        return self._objects / digest[:2] / f"{digest}{ending}"

    # From here on: blocking, in a thread.

    def _prepare(self) -> None:
        for folder in (self._root, self._objects, self._incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.touch(mode=0o600)
        for leftover in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # another process may be clearing up too
                if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER:
                    leftover.unlink()

    @contextmanager
    def _locked(self, operation: int) -> Iterator[None]:
        with self._lock.open("r+b") as lock:  # a lock of this opening, so it keeps threads apart as well as processes
            fcntl.flock(lock, operation)
            yield

    def _publish(self, incoming: "_Incoming", path: Path) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._objects)
        with self._locked(fcntl.LOCK_EX):
            incoming.move_to(path)
        _sync_folder(path.parent)

    def _remove(self, path: Path) -> None:
        with self._locked(fcntl.LOCK_EX):
            for file in (path, _description_of(path)):
                file.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # no object ever had this shard
            _sync_folder(path.parent)

    def _open(self, path: Path) -> BinaryIO:
        self._refuse_links(path)
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:
            raise _not_found() from None

    def _find(self, path: Path) -> DiskFile:
        self._refuse_links(path)
        with self._locked(fcntl.LOCK_SH):
            try:
                status = path.stat()
                description = _description_of(path).read_text("utf-8")
            except FileNotFoundError:
                raise _not_found() from None
        return DiskFile(path, status, json.loads(description)["media_type"])

    def _keys_in(self, folder: Path) -> list[str]:
        keys: list[str] = []
        for description in folder.glob("*.json"):
            with suppress(FileNotFoundError):  # deleted since, or a description whose object is still on its way
                description.with_suffix("").stat()
                keys.append(json.loads(description.read_text("utf-8"))["key"])
        return keys

    def _refuse_links(self, path: Path) -> None:
        """We never make a symbolic link: one inside the folder would show a file that is no object."""
        if path.resolve() != path:
            raise _not_found()


class _Incoming:
    """An object on its way in: two temporary files on the same file system, which become the object by renaming."""

    def __init__(self, folder: Path) -> None:
        self._bytes = folder / secrets.token_hex(16)
        self._description = _description_of(self._bytes)
        self._file: BinaryIO | None = None
        self.size = 0

    def create(self) -> None:
        self._file = open(self._bytes, "xb", opener=_private)  # noqa: SIM115  # `seal` or `discard` closes it

    def write(self, data: bytearray) -> None:
        assert self._file is not None
        self._file.write(data)
        self.size += len(data)

    def seal(self, description: str) -> None:
        """Both files complete and on the disk."""
        assert self._file is not None
        _sync_and_close(self._file)
        with open(self._description, "xb", opener=_private) as described:
            described.write(description.encode())
            _sync_and_close(described)

    def move_to(self, path: Path) -> None:
        """The description first: bytes without one must never be seen, one without bytes is not an object yet."""
        self._description.replace(_description_of(path))
        self._bytes.replace(path)

    def discard(self) -> None:
        try:
            if self._file is not None:
                self._file.close()  # writes what is still buffered, so a full disk fails here as well
        finally:
            for file in (self._bytes, self._description):
                file.unlink(missing_ok=True)


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call to its end in a thread; `OSError` becomes `StorageUnavailable`."""
    try:
        return await run_to_end(asyncio.to_thread(call, *args, **kwargs))
    except OSError as error:
        raise StorageUnavailable("The object storage cannot be used at the moment.") from error


def _description_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _not_found() -> ObjectNotFound:
    return ObjectNotFound("There is no such object.")


def _private(path: str, flags: int) -> int:
    """Recordings are personal data: readable by the owner of the process only."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync_and_close(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as `fsync` of a file does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

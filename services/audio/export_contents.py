"""What an archive of somebody's data holds: what other services keep, their recordings with all that came of them, dubbings.

Nothing of anybody else, and nothing of how we work: no keys of objects, no leases, no names of servers.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.db import Database
from libs.common.storage.base import ObjectNotFound, Storage
from services.audio import export_texts
from services.audio.archive import Archive
from services.audio.jobs import State
from services.audio.models import DUBBINGS, JOBS, SCRIPTS, TAKES, TOKENS

PAGE = 20  # recordings at a time: with their results, of some 60 KB each, about a megabyte

_TAKES = (
    sa.select(
        *(TAKES.c.id, TAKES.c.created_at, TAKES.c.token_id, TAKES.c.script_id, TAKES.c.object_key),
        *(TAKES.c.media_type, TAKES.c.size, TAKES.c.sha256),
        *(SCRIPTS.c.script, TOKENS.c.token_name, TOKENS.c.actor_name),
    )
    .select_from(TAKES.outerjoin(SCRIPTS, SCRIPTS.c.id == TAKES.c.script_id).outerjoin(TOKENS, TOKENS.c.id == TAKES.c.token_id))
    .where(
        TAKES.c.user_id == sa.bindparam("user_id"),
        sa.tuple_(TAKES.c.created_at, TAKES.c.id)
        < sa.tuple_(
            sa.bindparam("before", type_=sa.DateTime(timezone=True)), sa.bindparam("before_id", type_=sa.UUID(as_uuid=True))
        ),
    )
    .order_by(TAKES.c.created_at.desc(), TAKES.c.id.desc())
    .limit(PAGE)
)
_SHOWN = ("id", "state", "created_at", "finished_at", "score", "message", "reason", "result")
_JOBS = sa.select(JOBS.c.take_id, *(JOBS.c[name] for name in _SHOWN)).order_by(JOBS.c.created_at)
_DUBBINGS = (
    sa.select(DUBBINGS.c.id, DUBBINGS.c.token_id, DUBBINGS.c.created_at, DUBBINGS.c.background, DUBBINGS.c.object_key)
    .where(DUBBINGS.c.user_id == sa.bindparam("user_id"), DUBBINGS.c.state == "completed")
    .order_by(DUBBINGS.c.created_at.desc(), DUBBINGS.c.id)
)
_LAST = UUID(int=2**128 - 1)


class Contents:
    """Of archives of at most `max_bytes`, as far as recordings go: the newest ones, then."""

    def __init__(self, database: Database, storage: Storage, *, max_bytes: int) -> None:
        self._database = database
        self._storage = storage
        self._max_bytes = max_bytes

    async def of(self, user_id: int, others: Mapping[str, Any], now: datetime) -> AsyncGenerator[bytes, None]:
        """The archive of what there is of the user `now`, with `others` as JSON by the name of the file.

        Raises DatabaseUnavailable, StorageUnavailable.
        """
        archive, missing = Archive(), dict[UUID, str]()
        async for piece in archive.add("README.txt", _text(export_texts.README), at=now, packed=True):
            yield piece
        for name, document in others.items():
            async for piece in archive.add(name, _text(_dumped(document)), at=now, packed=True):
                yield piece
        room = self._max_bytes
        async for page in self._takes(user_id, now):
            for take in page:
                room -= take["size"]
                if room < 0:
                    missing[take["id"]] = "archive_full"
                elif not await self._is_stored(take["object_key"]):
                    missing[take["id"]] = "not_stored"
                else:
                    recording = self._storage.read(take["object_key"])
                    async for piece in archive.add(_recording(take), recording, at=take["created_at"]):
                        yield piece
        async for piece in archive.add("takes.json", self._list_of_takes(user_id, now, missing), at=now, packed=True):
            yield piece
        dubbings = await self._dubbings(user_id)
        kept = []
        for dubbing in dubbings:
            if await self._is_stored(dubbing["object_key"]):
                kept.append(dubbing)
                async for piece in archive.add(
                    _dubbing(dubbing), self._storage.read(dubbing["object_key"]), at=dubbing["created_at"]
                ):
                    yield piece
        async for piece in archive.add("dubbings.json", _text(_dumped([_shown(each) for each in kept])), at=now, packed=True):
            yield piece
        yield archive.end()

    async def _is_stored(self, object_key: str) -> bool:
        try:
            await self._storage.stat(object_key)
        except ObjectNotFound:  # erased meanwhile, or lost
            return False
        return True

    async def _takes(self, user_id: int, until: datetime) -> AsyncIterator[Collection[sa.RowMapping]]:
        """The user's recordings, the newest first, a page at a time."""
        place = {"before": until, "before_id": _LAST}
        while True:
            async with self._database.reading() as connection:
                page = (await connection.execute(_TAKES, {"user_id": user_id, **place})).mappings().all()
            if page:
                yield page
            if len(page) < PAGE:
                return
            place = {"before": page[-1]["created_at"], "before_id": page[-1]["id"]}

    async def _list_of_takes(self, user_id: int, until: datetime, missing: Mapping[UUID, str]) -> AsyncIterator[bytes]:
        """JSON: all recordings, with their analyses."""
        before = "[\n"
        async for page in self._takes(user_id, until):
            async with self._database.reading() as connection:
                jobs = await _jobs_of(connection, [take["id"] for take in page])
            for take in page:
                yield (before + _dumped(_described(take, jobs.get(take["id"], []), missing.get(take["id"])))).encode()
                before = ",\n"
        yield b"[]\n" if before == "[\n" else b"\n]\n"

    async def _dubbings(self, user_id: int) -> Collection[sa.RowMapping]:
        async with self._database.reading() as connection:
            return (await connection.execute(_DUBBINGS, {"user_id": user_id})).mappings().all()


async def _jobs_of(connection: AsyncConnection, take_ids: Collection[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in (await connection.execute(_JOBS.where(JOBS.c.take_id.in_(take_ids)))).mappings():
        shown = {name: row[name] for name in _SHOWN}
        found.setdefault(row["take_id"], []).append({**shown, "state": State(row["state"]).public})
    return found


def _described(take: sa.RowMapping, jobs: list[dict[str, Any]], missing: str | None) -> dict[str, Any]:
    described = {
        "recorded_at": take["created_at"],
        "scene_id": take["token_id"],
        "scene": take["token_name"],
        "actor": take["actor_name"],
        "line_id": take["script_id"],
        "line": take["script"],
        "file": _recording(take) if missing is None else None,
        "media_type": take["media_type"],
        "size": take["size"],
        "sha256": take["sha256"],
        "analyses": jobs,
    }
    return described if missing is None else {**described, "no_file_because": missing}


def _shown(dubbing: sa.RowMapping) -> dict[str, Any]:
    return {
        "created_at": dubbing["created_at"],
        "scene_id": dubbing["token_id"],
        "background": dubbing["background"],
        "file": _dubbing(dubbing),
    }


def _recording(take: sa.RowMapping) -> str:
    what = f"scene-{take['token_id']}" + ("" if take["script_id"] is None else f"_line-{take['script_id']}")
    return f"recordings/{_stamp(take['created_at'])}_{what}_{take['id']}.{take['object_key'].rpartition('.')[2]}"


def _dubbing(dubbing: sa.RowMapping) -> str:
    ending = dubbing["object_key"].rpartition(".")[2]
    return f"dubbings/{_stamp(dubbing['created_at'])}_scene-{dubbing['token_id']}_{dubbing['id']}.{ending}"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}"


def _dumped(document: Any) -> str:
    def other(value: Any) -> str:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        raise TypeError(type(value))

    return json.dumps(document, ensure_ascii=False, indent=1, default=other)


async def _text(text: str) -> AsyncIterator[bytes]:
    yield text.encode()

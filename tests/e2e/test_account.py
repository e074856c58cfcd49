"""Somebody takes all that is kept of them along, and deletes their account: then nothing is left wherever anybody looks."""

import asyncio
import io
import json
from zipfile import ZipFile

import httpx

from tests.e2e.flow import speak
from tests.e2e.platforms import Embedded, Fleet
from tests.e2e.test_mypage import signed_in
from yousync.audit.person import audit_user
from yousync.objects import open_objects
from yousync.options import Options
from yousync.samples import load_catalog
from yousync.stores import find_stores

LEAVER = {"email": "leaver@example.org", "full_name": "떠나는 사람"}
PATIENCE = 30.0  # seconds


async def archive_of(client: httpx.AsyncClient, anybody: httpx.AsyncClient) -> tuple[str, ZipFile]:
    """The archive of who calls, when it is ready, and the link to it."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await client.get("/api/auth/me/export")).status_code == 202:
            await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    url = answer.json()["url"]
    return url, ZipFile(io.BytesIO((await anybody.get(url)).content))


async def left(platform: Embedded | Fleet, user_id: int, *, wait: float = 0.0) -> list[str]:
    """Where `yousync audit user` finds something of this person."""
    options = Options(state_dir=platform.state_dir)
    async with open_objects(options) as storage:
        remains = await audit_user(find_stores(options), storage, user_id, wait=wait)
    return [remnant.where for remnant in remains.left]


async def neighbour_of(platform: Embedded | Fleet, token_id: int) -> int:
    """Somebody who stays, and has marked a scene."""
    async with signed_in(platform.url, email="neighbour@example.org") as neighbour:
        await neighbour.post("/api/mypage/bookmarks", json={"token_id": token_id})
        user_id: int = (await neighbour.get("/api/auth/me")).json()["id"]
        return user_id


async def test_who_leaves_takes_everything_along_and_leaves_nothing(platform: Embedded | Fleet) -> None:
    line = load_catalog()["scripts"][0]
    take = await speak(platform.url, line["id"], email=LEAVER["email"])
    neighbour = await neighbour_of(platform, line["token_id"])
    async with signed_in(platform.url, **LEAVER) as leaver, httpx.AsyncClient(trust_env=False) as anybody:
        await leaver.post("/api/mypage/bookmarks", json={"token_id": line["token_id"]})
        url, archive = await archive_of(leaver, anybody)
        files = {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}
        assert LEAVER["email"] in archive.read("profile.json").decode()
        assert [bookmark["token_id"] for bookmark in files["bookmarks.json"]] == [line["token_id"]]
        [recorded] = files["takes.json"]
        assert (recorded["line_id"], recorded["analyses"][0]["id"]) == (line["id"], take.job_id)
        assert archive.read(recorded["file"])
        [recording] = (await leaver.get(f"/api/tokens/{line['token_id']}/user-audios")).json()["audios"]
        user_id = (await leaver.get("/api/auth/me")).json()["id"]
    before = await left(platform, user_id)
    assert {"auth.users", "catalog.bookmarks", "audio.takes", "audio.jobs", "audio.exports"} <= set(before)

    # Other connections: the servers have closed those on which nothing was said meanwhile.
    async with signed_in(platform.url, **LEAVER) as leaver, httpx.AsyncClient(trust_env=False) as anybody:
        assert (await leaver.delete("/api/auth/me")).status_code == 204
        async with asyncio.timeout(PATIENCE):  # the rest follows by events
            for link in (url, recording["url"]):
                while (await anybody.get(link)).status_code != httpx.codes.NOT_FOUND:
                    await asyncio.sleep(0.05)
        assert (await leaver.get("/api/auth/me/export")).status_code == 401
        file = {"file": b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(100)}
        refused = await leaver.post(f"/api/tokens/{line['token_id']}/upload-audio", files=file)
        assert refused.status_code == 401
    assert await left(platform, user_id, wait=PATIENCE) == []
    assert "catalog.bookmarks" in await left(platform, neighbour)

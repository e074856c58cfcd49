"""What clients do with single scenes, lines and films. Lists and the search are in `listing.py`, changes in `editing.py`."""

import asyncio
import time
from dataclasses import dataclass

from libs.common.contracts import catalog as contract
from libs.common.db import Database
from services.catalog import repository
from services.catalog.errors import ScriptNotFound, TokenNotFound, UrlNotFound
from services.catalog.fields import MAX_ID
from services.catalog.repository import Script, Token
from services.catalog.snapshots import script_fields, token_fields
from services.catalog.storage import LINK_PERIOD, SceneObjects


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """A scene with all that its page shows."""

    token: Token
    scripts: list[Script]
    bgvoice_url: str | None
    link_period: int | None  # changes when a link that was shown has lived long enough; None for one that does not end
    pitch: bytes | None  # JSON


class Catalogue:
    """Reads of single things."""

    def __init__(self, database: Database, objects: SceneObjects) -> None:
        self._database = database
        self._objects = objects

    async def detail(self, token_id: int) -> TokenDetail:
        """All of one scene; raises `TokenNotFound`. A store that does not answer costs the melody, not the page."""
        async with self._database.autocommit() as connection:
            token = await repository.token(connection, _possible(token_id, TokenNotFound))
            if token is None:
                raise TokenNotFound
            scripts = await repository.scripts_of_token(connection, token_id)
        link, pitch = await asyncio.gather(self._objects.link(token.s3_bgvoice_url), self._objects.pitch(token.s3_pitch_url))
        ends = link is not None and link != token.s3_bgvoice_url
        return TokenDetail(token, scripts, link, int(time.time()) // LINK_PERIOD if ends else None, pitch)

    async def script(self, script_id: int) -> Script:
        """One line; raises `ScriptNotFound`."""
        async with self._database.autocommit() as connection:
            script = await repository.script(connection, _possible(script_id, ScriptNotFound))
        if script is None:
            raise ScriptNotFound
        return script

    async def snapshot(self, script_id: int) -> contract.ScriptSnapshot:
        """A line as its events carry it, for a service that missed them; raises `ScriptNotFound`."""
        async with self._database.autocommit() as connection:
            found = await repository.scripts_with_mfcc(connection, [_possible(script_id, ScriptNotFound)])
        if not found:
            raise ScriptNotFound
        return contract.ScriptSnapshot(**script_fields(found[0]))

    async def scene(self, token_id: int) -> contract.Scene:
        """A scene and its lines as their events carry them, for a service that missed them; raises `TokenNotFound`."""
        async with self._database.autocommit() as connection:
            found = await repository.tokens_by_id(connection, [_possible(token_id, TokenNotFound)])
            if not found:
                raise TokenNotFound
            ids = await repository.script_ids_of_token(connection, token_id)
            scripts = await repository.scripts_with_mfcc(connection, ids)
        return contract.Scene(
            token=contract.TokenSnapshot(**token_fields(found[0])),
            scripts=tuple(contract.ScriptSnapshot(**script_fields(script)) for script in scripts),
        )

    async def knows_url(self, youtube_url: str) -> bool:
        """Whether there are scenes of the film at exactly this address."""
        async with self._database.autocommit() as connection:
            return await repository.url_id(connection, youtube_url) is not None

    async def tokens_of_url(self, youtube_url: str) -> list[Token]:
        """Scenes of the film at exactly this address; raises `UrlNotFound`."""
        async with self._database.autocommit() as connection:
            url_id = await repository.url_id(connection, youtube_url)
            if url_id is None:
                raise UrlNotFound
            return await repository.tokens_of_url(connection, url_id)


def _possible(any_id: int, error: type[TokenNotFound | ScriptNotFound]) -> int:
    """The id itself, or the error: what no row can have must not reach PostgreSQL, which refuses larger numbers."""
    if not 0 < any_id <= MAX_ID:
        raise error
    return any_id

"""What clients do with the catalogue: look, search, count a view. Changing it is in `importing.py` and `removing.py`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from libs.common.contracts import catalog as contract
from libs.common.db import Database
from services.catalog import repository
from services.catalog.errors import NoActorOfToken, ScriptNotFound, TokenNotFound, UrlNotFound
from services.catalog.fields import MAX_ID
from services.catalog.folding import fold
from services.catalog.repository import Actor, Page, Script, Token
from services.catalog.snapshots import script_fields, token_fields
from services.catalog.storage import SceneObjects

SYNC_COLLECTION_SECONDS = 20.0  # scenes shorter than this are for practising again and again
MAX_ACTORS_MEANT = 10  # of a search text whose scenes are asked for


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """A scene with all that its page shows."""

    token: Token
    scripts: list[Script]
    bgvoice_url: str | None
    pitch: Any


@dataclass(frozen=True, slots=True)
class Duet:
    """Two scenes of one film for two speakers."""

    first: Token
    second: Token


class Catalogue:
    """Reads of the catalogue."""

    def __init__(self, database: Database, objects: SceneObjects) -> None:
        self._database = database
        self._objects = objects

    async def actors(self, page: Page) -> list[Actor]:
        """All actors."""
        async with self._database.reading() as connection:
            return await repository.actors(connection, page)

    async def find_actors(self, text: str, limit: int) -> list[Actor]:
        """Actors whose name or alias contains `text`; nobody for a blank one."""
        if not (folded := fold(text)):
            return []
        async with self._database.reading() as connection:
            return await repository.actors_called(connection, folded, limit)

    async def tokens_of_actor(self, text: str, page: Page) -> list[Token]:
        """Scenes of the actors whom `text` means."""
        actors = await self.find_actors(text, MAX_ACTORS_MEANT)
        if not actors:
            return []
        async with self._database.reading() as connection:
            return await repository.tokens_of_actors(connection, [actor.id for actor in actors], page)

    async def tokens(self, page: Page) -> list[Token]:
        """All scenes, by id."""
        async with self._database.reading() as connection:
            return await repository.tokens(connection, page)

    async def latest(self, page: Page) -> list[Token]:
        """The newest scenes first."""
        async with self._database.reading() as connection:
            return await repository.latest_tokens(connection, page)

    async def popular(self, page: Page) -> list[Token]:
        """The most viewed scenes first."""
        async with self._database.reading() as connection:
            return await repository.popular_tokens(connection, page)

    async def sync_collection(self, page: Page) -> list[Token]:
        """Short scenes, shuffled anew every day (UTC): another selection tomorrow, and pages that fit together today."""
        today = datetime.now(UTC).date().isoformat()
        async with self._database.reading() as connection:
            return await repository.short_tokens(connection, page, below_seconds=SYNC_COLLECTION_SECONDS, shuffle=today)

    async def of_category(self, category: str, page: Page) -> list[Token]:
        """Scenes whose category contains `category`."""
        async with self._database.reading() as connection:
            return await repository.tokens_of_category(connection, category, page)

    async def duets(self) -> list[Duet]:
        """Every film with exactly two scenes, the oldest first."""
        async with self._database.reading() as connection:
            tokens = await repository.tokens_of_pairs(connection)
        return [Duet(*pair) for pair in zip(tokens[::2], tokens[1::2], strict=True)]

    async def detail(self, token_id: int) -> TokenDetail:
        """All of one scene; raises `TokenNotFound`. A store that does not answer costs the melody, not the page."""
        async with self._database.reading() as connection:
            token = await repository.token(connection, _possible(token_id, TokenNotFound))
            if token is None:
                raise TokenNotFound
            scripts = await repository.scripts_of_token(connection, token_id)
        return TokenDetail(
            token,
            scripts,
            bgvoice_url=await self._objects.link(token.s3_bgvoice_url),
            pitch=await self._objects.pitch(token.s3_pitch_url),
        )

    async def related(self, token_id: int, page: Page) -> list[Token]:
        """Other scenes of the same actors; raises `TokenNotFound`, `NoActorOfToken`."""
        async with self._database.reading() as connection:
            if await repository.token(connection, _possible(token_id, TokenNotFound)) is None:
                raise TokenNotFound
            if not await repository.has_actor(connection, token_id):
                raise NoActorOfToken
            return await repository.related_tokens(connection, token_id, page)

    async def count_view(self, token_id: int) -> int:
        """Count one view, exactly, however many come at once; the new number. Raises `TokenNotFound`."""
        async with self._database.transaction() as tx:
            views = await repository.count_view(tx.connection, _possible(token_id, TokenNotFound))
        if views is None:
            raise TokenNotFound
        return views

    async def scripts(self, page: Page) -> list[Script]:
        """All lines, by id."""
        async with self._database.reading() as connection:
            return await repository.scripts(connection, page)

    async def script(self, script_id: int) -> Script:
        """One line; raises `ScriptNotFound`."""
        async with self._database.reading() as connection:
            script = await repository.script(connection, _possible(script_id, ScriptNotFound))
        if script is None:
            raise ScriptNotFound
        return script

    async def scripts_of_token(self, token_id: int, page: Page) -> list[Script]:
        """The lines of a scene; none for a scene that is not there."""
        if not 0 < token_id <= MAX_ID:
            return []
        async with self._database.reading() as connection:
            return await repository.scripts_of_token(connection, token_id, page)

    async def snapshot(self, script_id: int) -> contract.ScriptSnapshot:
        """A line as its events carry it, for a service that missed them; raises `ScriptNotFound`."""
        async with self._database.reading() as connection:
            found = await repository.scripts_with_mfcc(connection, [_possible(script_id, ScriptNotFound)])
        if not found:
            raise ScriptNotFound
        return contract.ScriptSnapshot(**script_fields(found[0]))

    async def scene(self, token_id: int) -> contract.Scene:
        """A scene and its lines as their events carry them, for a service that missed them; raises `TokenNotFound`."""
        async with self._database.reading() as connection:
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
        async with self._database.reading() as connection:
            return await repository.url_id(connection, youtube_url) is not None

    async def tokens_of_url(self, youtube_url: str) -> list[Token]:
        """Scenes of the film at exactly this address; raises `UrlNotFound`."""
        async with self._database.reading() as connection:
            url_id = await repository.url_id(connection, youtube_url)
            if url_id is None:
                raise UrlNotFound
            return await repository.tokens_of_url(connection, url_id)


def _possible(any_id: int, error: type[TokenNotFound | ScriptNotFound]) -> int:
    """The id itself, or the error: what no row can have must not reach PostgreSQL, which refuses larger numbers."""
    if not 0 < any_id <= MAX_ID:
        raise error
    return any_id

"""Our own copy of the catalogue's scenes: kept by its events, completed by a question when something of one is missing."""

from collections.abc import Collection

from libs.common.bus.base import Message
from libs.common.contracts.catalog import Scene, TokenDeleted, TokenSnapshot
from libs.common.db import Database
from services.audio import repository, token_repository
from services.audio.catalog import CatalogClient
from services.audio.errors import CatalogUnavailable, TokenNotFound
from services.audio.scripts import MAX_ID
from services.audio.token_repository import KnownToken

HANDLER = "audio.token"  # in the inbox


class TokenService:
    """Use cases around scenes. Versions decide, not arrival, as for lines."""

    def __init__(self, database: Database, catalog: CatalogClient) -> None:
        self._database = database
        self._catalog = catalog

    async def token(self, token_id: int) -> KnownToken:
        """The scene. Raises TokenNotFound, or CatalogUnavailable when nobody can tell."""
        return (await self.tokens([token_id]))[token_id]

    async def tokens(self, token_ids: Collection[int]) -> dict[int, KnownToken]:
        """These scenes by id, with their lines in our copies. Raises TokenNotFound for the first that is none."""
        possible = [token_id for token_id in token_ids if 0 < token_id <= MAX_ID]
        async with self._database.reading() as connection:
            known = await token_repository.find_tokens(connection, possible)
        for token_id in token_ids:
            token = known.get(token_id)
            if token is None or not (token.has_lines or token.deleted):
                known[token_id] = token = await self._read_through(token_id, token)
            if token.deleted:
                raise TokenNotFound(token_id)
        return known

    async def keep(self, token: TokenSnapshot, message: Message) -> None:
        """The scene is new or was changed, says `message`."""
        async with self._database.transaction() as tx:
            if await tx.first_time(message, HANDLER):
                await token_repository.keep_token(tx.connection, token)

    async def bury(self, token: TokenDeleted, message: Message) -> None:
        """The scene is gone, says `message`; its lines have messages of their own."""
        async with self._database.transaction() as tx:
            if await tx.first_time(message, HANDLER):
                await token_repository.bury_token(tx.connection, token.token_id, token.version)

    async def fetch(self, token_id: int) -> Scene | None:
        """Ask the catalogue for a scene and keep it with its lines; None when it has none. Raises CatalogUnavailable."""
        scene = await self._catalog.scene(token_id)
        if scene is not None:
            async with self._database.transaction() as tx:
                await token_repository.keep_token(tx.connection, scene.token)
                for script in scene.scripts:
                    await repository.keep_script(tx.connection, script)
        return scene

    async def _read_through(self, token_id: int, token: KnownToken | None) -> KnownToken:
        """Ask for a scene that is not known, or of which no line is. Some have none, so the latter is no must."""
        if not 0 < token_id <= MAX_ID:
            raise TokenNotFound(token_id)
        try:
            scene = await self.fetch(token_id)
        except CatalogUnavailable:
            if token is None:
                raise
            return token
        if scene is None:
            raise TokenNotFound(token_id)
        return KnownToken(
            token_id=token_id,
            deleted=False,
            s3_textgrid_url=scene.token.s3_textgrid_url,
            s3_pitch_url=scene.token.s3_pitch_url,
            has_lines=bool(scene.scripts),
        )

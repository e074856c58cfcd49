"""Our own copy of the catalogue's lines: kept by its events, completed by a question when an event is still on its way."""

from libs.common.bus.base import Message
from libs.common.contracts.catalog import ScriptDeleted, ScriptSnapshot
from libs.common.db import Database
from services.audio import repository
from services.audio.catalog import CatalogClient
from services.audio.errors import ScriptNotFound
from services.audio.repository import Line

HANDLER = "audio.script"  # in the inbox
MAX_ID = 2**31 - 1  # of PostgreSQL's integer


class ScriptService:
    """Use cases around lines. Versions decide, not arrival: a late older event changes nothing, twice is once."""

    def __init__(self, database: Database, catalog: CatalogClient) -> None:
        self._database = database
        self._catalog = catalog

    async def line(self, script_id: int) -> Line:
        """The line. Raises ScriptNotFound, or CatalogUnavailable when nobody can tell."""
        if not 0 < script_id <= MAX_ID:
            raise ScriptNotFound
        line = await repository.find_line(self._database, script_id)
        if line is None:
            line = await self._read_through(script_id)
        if line.deleted:
            raise ScriptNotFound
        return line

    async def keep(self, script: ScriptSnapshot, message: Message | None = None) -> None:
        """The line is new or was changed, says `message` or the catalogue's answer."""
        async with self._database.transaction() as tx:
            if message is None or await tx.first_time(message, HANDLER):
                await repository.keep_script(tx.connection, script)

    async def bury(self, script: ScriptDeleted, message: Message) -> None:
        """The line is gone, says `message`."""
        async with self._database.transaction() as tx:
            if await tx.first_time(message, HANDLER):
                await repository.bury_script(tx.connection, script.script_id, script.token_id, script.version)

    async def _read_through(self, script_id: int) -> Line:
        script = await self._catalog.script(script_id)
        if script is None:
            raise ScriptNotFound
        await self.keep(script)
        return Line(script.script_id, script.token_id, deleted=False)

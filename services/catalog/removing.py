"""Taking scenes and lines out of the catalogue."""

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.acts import Act, Origin, tell
from libs.common.contracts.catalog import ScriptDeleted, TokenDeleted
from libs.common.db import Database, Transaction
from services.catalog import edit_repository as sql
from services.catalog import import_repository, repository
from services.catalog.errors import ImportRunning, ScriptNotFound, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.models import SCRIPT_VERSIONS, SCRIPTS, TOKEN_VERSIONS, TOKENS
from services.catalog.preconditions import IfMatch


class Remover:
    """Deletes what nobody shall practise any more. Objects stay in the store: another scene may refer to them.

    `by` is who does it, for the audit log.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_token(self, token_id: int, seen: IfMatch, by: Origin) -> None:
        """Delete a scene with its lines, and tell of each. Raises `TokenNotFound`, `ChangedMeanwhile`, `ImportRunning`."""
        if not 0 < token_id <= MAX_ID:
            raise TokenNotFound
        async with self._database.transaction() as tx:
            await _without_import(tx.connection)
            # Locked before its lines are read: nobody adds another one in between.
            stored = await sql.lock(tx.connection, TOKENS, token_id, delete=True)
            if stored is None:
                raise TokenNotFound
            seen.check(stored["version"])
            script_ids = await repository.script_ids_of_token(tx.connection, token_id)
            await sql.delete(tx.connection, TOKENS, token_id)
            tell(tx, Act.SCENE_DELETED, by, thing=f"token:{token_id}")
            version = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            tx.publish(TokenDeleted(token_id=token_id, version=version), subject=f"token:{token_id}")
            for script_id in script_ids:
                await tell_of_script(tx, script_id, token_id)

    async def remove_script(self, script_id: int, seen: IfMatch, by: Origin) -> None:
        """Delete a line with its words. Raises `ScriptNotFound`, `ChangedMeanwhile`, `ImportRunning`."""
        if not 0 < script_id <= MAX_ID:
            raise ScriptNotFound
        async with self._database.transaction() as tx:
            await _without_import(tx.connection)
            stored = await sql.lock(tx.connection, SCRIPTS, script_id, delete=True)
            if stored is None:
                raise ScriptNotFound
            seen.check(stored["version"])
            await sql.delete(tx.connection, SCRIPTS, script_id)
            tell(tx, Act.LINE_DELETED, by, thing=f"script:{script_id}")
            await tell_of_script(tx, script_id, stored["token_id"])


async def _without_import(connection: AsyncConnection) -> None:
    if not await import_repository.try_lock_for_edit(connection):
        raise ImportRunning


async def tell_of_script(tx: Transaction, script_id: int, token_id: int) -> None:
    """Let the others know that a line is gone."""
    version = await repository.next_version(tx.connection, SCRIPT_VERSIONS)
    tx.publish(ScriptDeleted(script_id=script_id, token_id=token_id, version=version), subject=f"script:{script_id}")

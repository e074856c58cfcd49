"""Taking a scene out of the catalogue."""

from libs.common.contracts.catalog import ScriptDeleted, TokenDeleted
from libs.common.db import Database
from services.catalog import import_repository, repository
from services.catalog.errors import ImportRunning, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.models import SCRIPT_VERSIONS, TOKEN_VERSIONS


class Remover:
    """Deletes what nobody shall practise any more. Objects stay in the store: another scene may refer to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_token(self, token_id: int) -> None:
        """Delete a scene with its lines, and tell of each. Raises `TokenNotFound`, `ImportRunning`."""
        if not 0 < token_id <= MAX_ID:
            raise TokenNotFound
        async with self._database.transaction() as tx:
            # Against an import that brings lines of this very scene.
            if not await import_repository.try_lock(tx.connection):
                raise ImportRunning
            script_ids = await repository.script_ids_of_token(tx.connection, token_id)
            if not await repository.remove_token(tx.connection, token_id):
                raise TokenNotFound
            version = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            tx.publish(TokenDeleted(token_id=token_id, version=version), subject=f"token:{token_id}")
            for script_id in script_ids:
                version = await repository.next_version(tx.connection, SCRIPT_VERSIONS)
                gone = ScriptDeleted(script_id=script_id, token_id=token_id, version=version)
                tx.publish(gone, subject=f"script:{script_id}")

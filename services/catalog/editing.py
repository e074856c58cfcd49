"""Changing the catalogue one thing at a time: what administrators do. Each change and its event are one transaction.

Two who change the same thing come one after the other. Who says by `IfMatch` which state they have seen is refused when the
other was faster; who says nothing overwrites the fields that they name, and no others.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.acts import Act, Origin, tell
from libs.common.contracts.catalog import ScriptCreated, ScriptUpdated, TokenCreated, TokenUpdated
from libs.common.db import Database, Transaction
from services.catalog import casting, import_repository, repository
from services.catalog import edit_repository as sql
from services.catalog.errors import ActorExists, ImportRunning, ScriptNotFound, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.folding import fold
from services.catalog.import_repository import Row
from services.catalog.models import SCRIPT_VERSIONS, SCRIPTS, TOKEN_VERSIONS, TOKENS
from services.catalog.preconditions import IfMatch
from services.catalog.repository import Actor, Script, Token
from services.catalog.snapshots import script_fields, token_fields
from services.catalog.timing import check_kept_words, check_times, check_words
from services.catalog.write_schemas import ActorNew, ScriptChange, ScriptNew, TokenChange, TokenNew

_WORD = ("start_time", "end_time", "word", "probability")


class Editor:
    """Makes and changes actors, scenes and lines. Every call may raise `ImportRunning`; one that raises changes nothing.

    `by` is who does it, for the audit log.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_actor(self, new: ActorNew, by: Origin) -> Actor:
        """A new actor. Raises `ActorExists`."""
        async with self._editing() as tx:
            await sql.lock_actors(tx.connection)
            if await sql.actor_called(tx.connection, fold(new.name)) is not None:
                raise ActorExists
            actor = Actor(await casting.add(tx.connection, new.name), new.name)
            tell(tx, Act.ACTOR_CREATED, by, thing=f"actor:{actor.id}")
            return actor

    async def create_token(self, new: TokenNew, by: Origin) -> Token:
        """A new scene. Its actor is who is called `actor_name`, also by an alias, or somebody new. Raises `InvalidField`."""
        row = new.model_dump(exclude={"youtube_url"})
        check_times(row, row)
        async with self._editing() as tx:
            row["url_id"] = await sql.film(tx.connection, new.youtube_url)
            row["version"] = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            token_id = await sql.insert(tx.connection, TOKENS, row)
            await casting.recast(tx.connection, token_id, None, new.actor_name)
            tell(tx, Act.SCENE_CREATED, by, thing=f"token:{token_id}")
            return await _publish_token(tx, token_id, TokenCreated)

    async def change_token(self, token_id: int, change: TokenChange, seen: IfMatch, by: Origin) -> Token:
        """Set what `change` names. Raises `TokenNotFound`, `ChangedMeanwhile`, `InvalidField`.

        Under another `actor_name` the scene is that actor's, and the old one's no more; others who speak in it stay.
        """
        async with self._editing() as tx:
            stored = await _locked(tx.connection, token_id, seen)
            named = change.model_dump(exclude_unset=True)
            if (address := named.pop("youtube_url", None)) is not None:
                named["url_id"] = await sql.film(tx.connection, address)
            changed = _different(named, stored)
            check_times({**stored, **changed}, named)
            if not changed:
                [token] = await repository.tokens_by_id(tx.connection, [token_id])
                return token
            if "actor_name" in changed:
                await casting.recast(tx.connection, token_id, stored["actor_name"], changed["actor_name"])
            changed["version"] = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            await sql.update(tx.connection, TOKENS, token_id, changed)
            tell(tx, Act.SCENE_UPDATED, by, thing=f"token:{token_id}")
            return await _publish_token(tx, token_id, TokenUpdated)

    async def create_script(self, new: ScriptNew, by: Origin) -> Script:
        """A new line with its words. Raises `TokenNotFound`, `InvalidField`.

        It need not lie within its scene: the last line of a clip often sounds on after the cut.
        """
        row = new.model_dump(exclude={"words"})
        words = [word.model_dump() for word in new.words]
        check_times(row, row)
        check_words(row, words)
        async with self._editing() as tx:
            if not await sql.hold_token(tx.connection, new.token_id):
                raise TokenNotFound
            row["version"] = await repository.next_version(tx.connection, SCRIPT_VERSIONS)
            script_id = await sql.insert(tx.connection, SCRIPTS, row)
            await sql.replace_words(tx.connection, script_id, [], [{**word, "mfcc": None} for word in words])
            tell(tx, Act.LINE_CREATED, by, thing=f"script:{script_id}")
            return await _publish_script(tx, script_id, ScriptCreated)

    async def change_script(self, script_id: int, change: ScriptChange, seen: IfMatch, by: Origin) -> Script:
        """Set what `change` names. Raises `ScriptNotFound`, `TokenNotFound`, `ChangedMeanwhile`, `InvalidField`.

        A word that is the same as before at the same time keeps its features; others have none until an import brings them.
        """
        async with self._editing() as tx:
            stored = await _locked_script(tx.connection, script_id, seen)
            named = change.model_dump(exclude_unset=True, exclude={"words"})
            words = [word.model_dump() for word in change.words] if "words" in change.model_fields_set else None
            changed = _different(named, stored)
            wanted = {**stored, **changed}
            check_times(wanted, named)
            there = await sql.words(tx.connection, script_id)
            if words is not None:
                check_words(wanted, words)
            elif changed.keys() & {"start_time", "end_time"}:
                check_kept_words(stored, wanted, there, named)
            if words == [{column: word[column] for column in _WORD} for word in there]:
                words = None
            if "token_id" in changed and not await sql.hold_token(tx.connection, changed["token_id"]):
                raise TokenNotFound
            if not changed and words is None:
                [script] = await repository.scripts_with_mfcc(tx.connection, [script_id])
                return script
            if words is not None:
                features = {_place(word): word["mfcc"] for word in there}
                new = [{**word, "mfcc": features.get(_place(word))} for word in words]
                await sql.replace_words(tx.connection, script_id, [word["id"] for word in there], new)
            changed["version"] = await repository.next_version(tx.connection, SCRIPT_VERSIONS)
            await sql.update(tx.connection, SCRIPTS, script_id, changed)
            tell(tx, Act.LINE_UPDATED, by, thing=f"script:{script_id}")
            return await _publish_script(tx, script_id, ScriptUpdated)

    @asynccontextmanager
    async def _editing(self) -> AsyncIterator[Transaction]:
        async with self._database.transaction() as tx:
            if not await import_repository.try_lock_for_edit(tx.connection):
                raise ImportRunning
            yield tx


async def _locked(connection: AsyncConnection, token_id: int, seen: IfMatch) -> Row:
    stored = await sql.lock(connection, TOKENS, token_id) if 0 < token_id <= MAX_ID else None
    if stored is None:
        raise TokenNotFound
    seen.check(stored["version"])
    return stored


async def _locked_script(connection: AsyncConnection, script_id: int, seen: IfMatch) -> Row:
    stored = await sql.lock(connection, SCRIPTS, script_id) if 0 < script_id <= MAX_ID else None
    if stored is None:
        raise ScriptNotFound
    seen.check(stored["version"])
    return stored


async def _publish_token(tx: Transaction, token_id: int, event: type[TokenCreated | TokenUpdated]) -> Token:
    [token] = await repository.tokens_by_id(tx.connection, [token_id])
    tx.publish(event.model_validate(token_fields(token)), subject=f"token:{token_id}")
    return token


async def _publish_script(tx: Transaction, script_id: int, event: type[ScriptCreated | ScriptUpdated]) -> Script:
    [script] = await repository.scripts_with_mfcc(tx.connection, [script_id])
    tx.publish(event.model_validate(script_fields(script)), subject=f"script:{script_id}")
    return script


def _different(named: Mapping[str, Any], stored: Row) -> dict[str, Any]:
    return {column: value for column, value in named.items() if stored[column] != value}


def _place(word: Mapping[str, Any]) -> tuple[object, ...]:
    return word["start_time"], word["end_time"], word["word"]

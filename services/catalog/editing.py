"""Changing the catalogue one thing at a time: what administrators do. Each change and its event are one transaction.

Two who change the same thing come one after the other. Who says by `IfMatch` which state they have seen is refused when the
other was faster; who says nothing overwrites the fields that they name, and no others.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.catalog import ScriptCreated, ScriptUpdated, TokenCreated, TokenUpdated
from libs.common.db import Database, Transaction
from services.catalog import edit_repository as sql
from services.catalog import import_repository, repository
from services.catalog.errors import ActorExists, ImportRunning, InvalidField, ScriptNotFound, TokenNotFound
from services.catalog.fields import MAX_ID
from services.catalog.folding import fold
from services.catalog.import_repository import Row
from services.catalog.models import ACTORS, SCRIPT_VERSIONS, SCRIPTS, TOKEN_VERSIONS, TOKENS
from services.catalog.preconditions import IfMatch
from services.catalog.repository import Actor, Script, Token
from services.catalog.snapshots import script_fields, token_fields
from services.catalog.write_schemas import ActorNew, ScriptChange, ScriptNew, TokenChange, TokenNew

ROUNDING_SECONDS = 0.001  # by which words may overlap or stick out of their line: times come rounded, each by itself

_WORD = ("start_time", "end_time", "word", "probability")


class Editor:
    """Makes and changes actors, scenes and lines. Every call may raise `ImportRunning`; one that raises changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_actor(self, new: ActorNew) -> Actor:
        """A new actor. Raises `ActorExists`."""
        async with self._editing() as tx:
            await sql.lock_actors(tx.connection)
            if await sql.actor_called(tx.connection, fold(new.name)) is not None:
                raise ActorExists
            return Actor(await _insert_actor(tx.connection, new.name), new.name)

    async def create_token(self, new: TokenNew) -> Token:
        """A new scene. Its actor is who is called `actor_name`, also by an alias, or somebody new. Raises `InvalidField`."""
        row = new.model_dump(exclude={"youtube_url"})
        _check_times(row, row)
        async with self._editing() as tx:
            row["url_id"] = await sql.film(tx.connection, new.youtube_url)
            row["version"] = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            token_id = await sql.insert(tx.connection, TOKENS, row)
            await sql.link(tx.connection, token_id, await _actor(tx.connection, new.actor_name))
            return await _publish_token(tx, token_id, TokenCreated)

    async def change_token(self, token_id: int, change: TokenChange, seen: IfMatch) -> Token:
        """Set what `change` names. Raises `TokenNotFound`, `ChangedMeanwhile`, `InvalidField`.

        Under another `actor_name` the scene is that actor's, and the old one's no more; others who speak in it stay.
        """
        async with self._editing() as tx:
            stored = await _locked(tx.connection, token_id, seen)
            named = change.model_dump(exclude_unset=True)
            if (address := named.pop("youtube_url", None)) is not None:
                named["url_id"] = await sql.film(tx.connection, address)
            changed = _different(named, stored)
            _check_times({**stored, **changed}, named)
            if not changed:
                [token] = await repository.tokens_by_id(tx.connection, [token_id])
                return token
            if "actor_name" in changed:
                await _link_instead(tx.connection, token_id, stored["actor_name"], changed["actor_name"])
            changed["version"] = await repository.next_version(tx.connection, TOKEN_VERSIONS)
            await sql.update(tx.connection, TOKENS, token_id, changed)
            return await _publish_token(tx, token_id, TokenUpdated)

    async def create_script(self, new: ScriptNew) -> Script:
        """A new line with its words. Raises `TokenNotFound`, `InvalidField`.

        It need not lie within its scene: the last line of a clip often sounds on after the cut.
        """
        row = new.model_dump(exclude={"words"})
        words = [word.model_dump() for word in new.words]
        _check_times(row, row)
        _check_words(row, words)
        async with self._editing() as tx:
            if not await sql.hold_token(tx.connection, new.token_id):
                raise TokenNotFound
            row["version"] = await repository.next_version(tx.connection, SCRIPT_VERSIONS)
            script_id = await sql.insert(tx.connection, SCRIPTS, row)
            await sql.replace_words(tx.connection, script_id, [], [{**word, "mfcc": None} for word in words])
            return await _publish_script(tx, script_id, ScriptCreated)

    async def change_script(self, script_id: int, change: ScriptChange, seen: IfMatch) -> Script:
        """Set what `change` names. Raises `ScriptNotFound`, `TokenNotFound`, `ChangedMeanwhile`, `InvalidField`.

        A word that is the same as before at the same time keeps its features; others have none until an import brings them.
        """
        async with self._editing() as tx:
            stored = await _locked_script(tx.connection, script_id, seen)
            named = change.model_dump(exclude_unset=True)
            words = named.pop("words", None)
            changed = _different(named, stored)
            wanted = {**stored, **changed}
            _check_times(wanted, named)
            there = await sql.words(tx.connection, script_id)
            if words is not None:
                _check_words(wanted, words)
            elif changed.keys() & {"start_time", "end_time"}:
                _check_kept_words(stored, wanted, there, named)
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


async def _actor(connection: AsyncConnection, name: str) -> int:
    await sql.lock_actors(connection)
    known = await sql.actor_known_as(connection, fold(name))
    return known if known is not None else await _insert_actor(connection, name)


async def _insert_actor(connection: AsyncConnection, name: str) -> int:
    return await sql.insert(connection, ACTORS, {"name": name, "folded": fold(name)})


async def _link_instead(connection: AsyncConnection, token_id: int, old: str, new: str) -> None:
    before = await sql.actor_known_as(connection, fold(old))
    now = await _actor(connection, new)
    if before is not None and before != now:
        await sql.unlink(connection, token_id, before)
    await sql.link(connection, token_id, now)


def _different(named: Mapping[str, Any], stored: Row) -> dict[str, Any]:
    return {column: value for column, value in named.items() if stored[column] != value}


def _place(word: Mapping[str, Any]) -> tuple[object, ...]:
    return word["start_time"], word["end_time"], word["word"]


def _check_times(row: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """The error is at the end, unless only the beginning was named."""
    start, end = row["start_time"], row["end_time"]
    if end < start:
        if "end_time" in named or "start_time" not in named:
            raise InvalidField("end_time", f"{end:g} is before start_time {start:g}")
        raise InvalidField("start_time", f"{start:g} is after end_time {end:g}")


def _check_words(line: Mapping[str, Any], words: Sequence[Mapping[str, Any]]) -> None:
    """Raise `InvalidField` for the first word that lies outside of the line, or begins before the one before it has ended."""
    for index, word in enumerate(words):
        if word["end_time"] < word["start_time"]:
            raise InvalidField(f"words.{index}.end_time", f"{word['end_time']:g} is before start_time {word['start_time']:g}")
        if not _within(line, word):
            where = f"{line['start_time']:g} to {line['end_time']:g} s"
            raise InvalidField(f"words.{index}", f"is outside of the line's time, {where}")
        if index and word["start_time"] < words[index - 1]["end_time"] - ROUNDING_SECONDS:
            raise InvalidField(f"words.{index}.start_time", f"is before the end of the word before it, words[{index - 1}]")


def _check_kept_words(before: Row, after: Row, words: Sequence[Row], named: Mapping[str, Any]) -> None:
    """A line's time may not leave words behind; those that an import put outside of it stay there."""
    for word in words:
        if None not in (word["start_time"], word["end_time"]) and _within(before, word) and not _within(after, word):
            field = "end_time" if "end_time" in named else "start_time"
            raise InvalidField(field, f"the line's word {word['word']!r} would be outside of its time: send `words` as well")


def _within(line: Mapping[str, Any], word: Mapping[str, Any]) -> bool:
    begins_late_enough = bool(word["start_time"] >= line["start_time"] - ROUNDING_SECONDS)
    return begins_late_enough and bool(word["end_time"] <= line["end_time"] + ROUNDING_SECONDS)

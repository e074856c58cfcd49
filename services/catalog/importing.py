"""The import of a catalogue document: all of it or nothing, and the second time nothing.

Ids are kept. Entries are created or changed, never deleted; only what belongs to an entry as a whole (an actor's aliases, a
scene's actors, a line's words, the lines of a scene that comes without ids) is replaced as a whole where the document speaks of
it. View counts are taken over when a scene is new and are the catalogue's own from then on.

Melodies are stored before the transaction, after everything else was checked: none of it may wait for a network. If the
transaction fails then, objects stay that nobody refers to, or that the next try writes again.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.acts import Act, Origin, tell
from libs.common.contracts.catalog import ScriptCreated, ScriptUpdated, TokenCreated, TokenUpdated
from libs.common.db import Database, Transaction, move_identity_past
from services.catalog import import_repository as sql
from services.catalog import repository
from services.catalog.casting import recast
from services.catalog.document import WordEntry, parse
from services.catalog.errors import ImportRunning
from services.catalog.folding import fold
from services.catalog.import_repository import Row
from services.catalog.models import ACTOR_ALIASES, ACTORS, SCRIPTS, TOKEN_ACTORS, TOKENS, URLS, WORDS
from services.catalog.references import Resolved, resolve
from services.catalog.removing import tell_of_script
from services.catalog.scenes import Placed, place
from services.catalog.snapshots import script_fields, token_fields
from services.catalog.storage import SceneObjects

BATCH = 100  # lines or entries at a time: bounds the memory, and how long other requests wait for the processor

T = TypeVar("T")
K = TypeVar("K")


@dataclass(slots=True)
class Counts:
    """What happened to the entries of one kind. `removed` are those that an entry does not have any more."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did, by kind, and which keys of the document nobody reads."""

    counts: dict[str, Counts]
    ignored: list[str]


@dataclass(slots=True)
class Changes:
    """The difference between stored and wanted rows."""

    created: list[Row] = field(default_factory=list)
    updated: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    unchanged: int = 0


def compare(stored: Mapping[K, Row], wanted: Mapping[K, Row], *, only_at_first: frozenset[str] = frozenset()) -> Changes:
    """What makes `stored` into `wanted`. Columns in `only_at_first` are for new rows; of others they are left alone."""
    changes = Changes()
    for key, row in wanted.items():
        there = stored.get(key)
        if there is None:
            changes.created.append(row)
            continue
        compared = {column: value for column, value in row.items() if column not in only_at_first}
        if all(there[column] == value for column, value in compared.items()):
            changes.unchanged += 1
        else:
            changes.updated.append(compared)
    changes.removed = [row for key, row in stored.items() if key not in wanted]
    return changes


class Importer:
    """Brings documents into the catalogue."""

    def __init__(self, database: Database, objects: SceneObjects) -> None:
        self._database = database
        self._objects = objects

    async def run(self, content: bytes, by: Origin) -> Report:
        """Import the JSON document `content` that `by` brings. Raises `BadDocument`, `ImportRunning`; nothing changes then."""
        document = await asyncio.to_thread(parse, content)
        async with self._database.reading() as connection:
            await resolve(connection, (await place(connection, document)).document)
        melodies = await self._keep_melodies(document.pitch)
        async with self._database.transaction() as tx:
            if not await sql.try_lock(tx.connection):
                raise ImportRunning
            placed = await place(tx.connection, document)
            writing = _Writing(tx, placed, await resolve(tx.connection, placed.document))
            await writing.run()
            tell(tx, Act.CATALOGUE_IMPORTED, by, thing="catalogue")
        return Report({**writing.counts, "pitch": melodies}, document.ignored)

    async def _keep_melodies(self, melodies: Mapping[str, bytes]) -> Counts:
        counts = Counts()
        for key, melody in melodies.items():
            match await self._objects.keep_pitch(key, melody):
                case True:
                    counts.created += 1
                case False:
                    counts.updated += 1
                case None:
                    counts.unchanged += 1
        return counts


class _Writing:
    """One import's transaction. Kinds come in the order in which they refer to each other."""

    def __init__(self, tx: Transaction, placed: Placed, resolved: Resolved) -> None:
        self._tx = tx
        self._connection: AsyncConnection = tx.connection
        self._placed = placed
        self._document = placed.document
        self._resolved = resolved
        kinds = ("urls", "actors", "aliases", "tokens", "token_actors", "scripts", "words")
        self.counts = {kind: Counts() for kind in kinds}

    async def run(self) -> None:
        await self._urls()
        await self._actors()
        await self._aliases()
        await self._tokens()
        await self._token_actors()
        await self._removed_lines()
        await self._scripts()
        for table in (URLS, ACTORS, ACTOR_ALIASES, TOKENS, SCRIPTS, WORDS):
            await move_identity_past(self._connection, table)
        for token_id, before, now in self._placed.cast:  # at last: the ids of actors that it adds follow those of the document
            self.counts["actors"].created += await recast(self._connection, token_id, before, now)

    async def _urls(self) -> None:
        ids = self._resolved.urls
        wanted = [{"id": ids[url.youtube_url], "youtube_url": url.youtube_url} for url in self._document.urls]
        await self._by_id("urls", URLS, wanted)

    async def _actors(self) -> None:
        wanted = [{"id": actor.id, "name": actor.name, "folded": fold(actor.name)} for actor in self._document.actors]
        await self._by_id("actors", ACTORS, wanted)

    async def _aliases(self) -> None:
        new_ids = count(self._resolved.next_alias_id)
        for actors in _batches([actor for actor in self._document.actors if actor.aliases is not None]):
            stored = {
                (row["actor_id"], row["name"]): row
                for row in await sql.rows(self._connection, ACTOR_ALIASES.c.actor_id, [actor.id for actor in actors])
            }
            wanted: dict[tuple[int, str], Row] = {}
            for actor in actors:
                for alias in actor.aliases or ():
                    key = (actor.id, alias.name)
                    alias_id = stored[key]["id"] if key in stored else alias.id or next(new_ids)
                    names = {"name": alias.name, "folded": fold(alias.name)}
                    wanted[key] = {"id": alias_id, "actor_id": actor.id, **names}
            await self._write("aliases", ACTOR_ALIASES, compare(stored, wanted))

    async def _tokens(self) -> None:
        wanted = [
            {**token.model_dump(exclude={"youtube_url"}), "url_id": self._resolved.urls[token.youtube_url]}
            for token in self._document.tokens
        ]
        for batch in _batches(wanted):
            rows = {row["id"]: {**row, "version": 0} for row in batch}
            stored = {row["id"]: row for row in await sql.rows(self._connection, TOKENS.c.id, rows)}
            changes = compare(stored, rows, only_at_first=frozenset({"view_count", "version"}))
            await self._write("tokens", TOKENS, changes)
            await self._publish_tokens({row["id"] for row in changes.created}, {row["id"] for row in changes.updated})

    async def _token_actors(self) -> None:
        by_token: dict[int, list[Row]] = {}
        for link in self._document.token_actors:
            by_token.setdefault(link.token_id, []).append(link.model_dump())
        for token_ids in _batches(sorted(by_token)):
            wanted = {_pair(row): row for token_id in token_ids for row in by_token[token_id]}
            stored = {_pair(row): row for row in await sql.rows(self._connection, TOKEN_ACTORS.c.token_id, token_ids)}
            await self._write("token_actors", TOKEN_ACTORS, compare(stored, wanted))

    async def _removed_lines(self) -> None:
        await sql.delete(self._connection, SCRIPTS, [{"id": script_id} for script_id, _ in self._placed.gone])
        self.counts["scripts"].removed += len(self._placed.gone)
        for script_id, token_id in self._placed.gone:
            await tell_of_script(self._tx, script_id, token_id)

    async def _scripts(self) -> None:
        entries = {script.id: script for script in self._document.scripts}
        words: dict[int, list[WordEntry]] = {}
        for word in self._document.words:
            words.setdefault(word.script_id, []).append(word)
        new_word_ids = count(self._resolved.next_word_id)
        for ids in _batches(sorted(entries.keys() | words.keys())):
            stored = {row["id"]: row for row in await sql.rows(self._connection, SCRIPTS.c.id, ids)}
            wanted = {i: {**entries[i].model_dump(), "version": 0} for i in ids if i in entries}
            lines = compare({i: stored[i] for i in wanted if i in stored}, wanted, only_at_first=frozenset({"version"}))
            await self._apply(SCRIPTS, lines)
            rewritten = await self._words({i: words[i] for i in ids if i in words}, new_word_ids)
            created = {row["id"] for row in lines.created}
            updated = ({row["id"] for row in lines.updated} | rewritten) - created
            self.counts["scripts"].created += len(created)
            self.counts["scripts"].updated += len(updated)
            self.counts["scripts"].unchanged += len(wanted.keys() - created - updated)
            await self._publish_scripts(created, updated)

    async def _words(self, by_script: Mapping[int, list[WordEntry]], new_ids: Iterator[int]) -> set[int]:
        """Write the words of some lines; the ids of the lines whose words are different now."""
        stored = {row["id"]: row for row in await sql.rows(self._connection, WORDS.c.script_id, by_script)}
        ids_of: dict[int, list[int]] = {}
        for row in stored.values():
            ids_of.setdefault(row["script_id"], []).append(row["id"])
        wanted: dict[int, Row] = {}
        for script_id, words in by_script.items():
            # Words without ids are the stored ones in their order, and new ones after those.
            ids = iter(ids_of.get(script_id, ()))
            for word in words:
                word_id = word.id or next(ids, None) or next(new_ids)
                wanted[word_id] = {**word.model_dump(), "id": word_id}
        changes = compare(stored, wanted)
        await self._write("words", WORDS, changes)
        return {row["script_id"] for rows in (changes.created, changes.updated, changes.removed) for row in rows}

    async def _publish_tokens(self, created: set[int], updated: set[int]) -> None:
        if not created and not updated:
            return
        await sql.give_new_versions(self._connection, TOKENS, created | updated)
        for token in await repository.tokens_by_id(self._connection, sorted(created | updated)):
            event = TokenCreated if token.id in created else TokenUpdated
            self._tx.publish(event.model_validate(token_fields(token)), subject=f"token:{token.id}")
        await self._tx.flush()

    async def _publish_scripts(self, created: set[int], updated: set[int]) -> None:
        if not created and not updated:
            return
        await sql.give_new_versions(self._connection, SCRIPTS, created | updated)
        for script in await repository.scripts_with_mfcc(self._connection, sorted(created | updated)):
            event = ScriptCreated if script.id in created else ScriptUpdated
            self._tx.publish(event.model_validate(script_fields(script)), subject=f"script:{script.id}")
        await self._tx.flush()

    async def _by_id(self, kind: str, table: sa.Table, wanted: Sequence[Row]) -> None:
        for batch in _batches(wanted):
            rows = {row["id"]: row for row in batch}
            stored = {row["id"]: row for row in await sql.rows(self._connection, table.c.id, rows)}
            await self._write(kind, table, compare(stored, rows))

    async def _write(self, kind: str, table: sa.Table, changes: Changes) -> None:
        await self._apply(table, changes)
        counts = self.counts[kind]
        counts.created += len(changes.created)
        counts.updated += len(changes.updated)
        counts.removed += len(changes.removed)
        counts.unchanged += changes.unchanged

    async def _apply(self, table: sa.Table, changes: Changes) -> None:
        await sql.delete(self._connection, table, changes.removed)
        await sql.update(self._connection, table, changes.updated)
        await sql.insert(self._connection, table, changes.created)


def _pair(row: Row) -> tuple[int, int]:
    return row["token_id"], row["actor_id"]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch

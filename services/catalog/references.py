"""What a document's entries refer to: each other, or what the catalogue has already."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog import import_repository as sql
from services.catalog.document import Document, Entry, shown
from services.catalog.errors import BadDocument
from services.catalog.fields import MAX_ID
from services.catalog.models import ACTOR_ALIASES, ACTORS, SCRIPTS, TOKENS, URLS, WORDS


@dataclass(frozen=True, slots=True)
class Resolved:
    """The id of each film by its address, and from where on ids are free."""

    urls: dict[str, int]
    next_alias_id: int
    next_word_id: int


async def resolve(connection: AsyncConnection, document: Document) -> Resolved:
    """Find what the document refers to. Raises `BadDocument` for what is not there, or is there as something else."""
    urls = await _resolve_urls(connection, document)
    await _refuse_taken_actor_names(connection, document)
    await _refuse_taken_alias_ids(connection, document)
    await _refuse_words_of_other_scripts(connection, document)
    token_ids = {token.id for token in document.tokens}
    actor_ids = {actor.id for actor in document.actors}
    script_ids = {script.id for script in document.scripts}
    await _known(connection, "token_actors", document.token_actors, "token_id", TOKENS, token_ids)
    await _known(connection, "token_actors", document.token_actors, "actor_id", ACTORS, actor_ids)
    await _known(connection, "scripts", document.scripts, "token_id", TOKENS, token_ids)
    await _known(connection, "words", document.words, "script_id", SCRIPTS, script_ids)
    alias_ids = [alias.id for actor in document.actors for alias in actor.aliases or ()]
    aliases = await free_ids(connection, ACTOR_ALIASES, "aliases", alias_ids)
    words = await free_ids(connection, WORDS, "words", [word.id for word in document.words])
    return Resolved(urls, next_alias_id=aliases, next_word_id=words)


async def _resolve_urls(connection: AsyncConnection, document: Document) -> dict[str, int]:
    addresses = {url.youtube_url for url in document.urls} | {token.youtube_url for token in document.tokens}
    given = [url.id for url in document.urls if url.id is not None]
    stored = await sql.rows(connection, URLS.c.youtube_url, addresses) + await sql.rows(connection, URLS.c.id, given)
    id_of = {row["youtube_url"]: row["id"] for row in stored}
    after = {row["id"]: row["youtube_url"] for row in stored}
    next_id = await free_ids(connection, URLS, "urls", [url.id for url in document.urls])
    for index, url in enumerate(document.urls):
        there = id_of.get(url.youtube_url)
        if url.id is not None and there not in (None, url.id):
            raise BadDocument(f"urls[{index}]: {shown(url.youtube_url)!r} has the id {there} here already")
        if url.id is None and there is None:
            after[next_id] = url.youtube_url
            next_id += 1
        else:
            after[url.id or there] = url.youtube_url
    resolved = {address: url_id for url_id, address in after.items()}
    for index, token in enumerate(document.tokens):
        if token.youtube_url not in resolved:
            raise BadDocument(f"tokens[{index}]: youtube_url {shown(token.youtube_url)!r} is not in urls")
    return resolved


async def _refuse_taken_actor_names(connection: AsyncConnection, document: Document) -> None:
    names = [actor.name for actor in document.actors]
    id_of = {row["name"]: row["id"] for row in await sql.rows(connection, ACTORS.c.name, names)}
    for index, actor in enumerate(document.actors):
        if id_of.get(actor.name, actor.id) != actor.id:
            there = id_of[actor.name]
            raise BadDocument(f"actors[{index}]: {shown(actor.name)!r} has the id {there} here already")


async def _refuse_taken_alias_ids(connection: AsyncConnection, document: Document) -> None:
    given = {
        alias.id: (f"actors[{index}].aliases[{position}]", actor.id, alias.name)
        for index, actor in enumerate(document.actors)
        for position, alias in enumerate(actor.aliases or ())
        if alias.id is not None
    }
    for row in await sql.rows(connection, ACTOR_ALIASES.c.id, given):
        where, actor_id, name = given[row["id"]]
        if (row["actor_id"], row["name"]) != (actor_id, name):
            raise BadDocument(f"{where}: the id {row['id']} belongs to another alias here")


async def _refuse_words_of_other_scripts(connection: AsyncConnection, document: Document) -> None:
    given = {word.id: (index, word.script_id) for index, word in enumerate(document.words) if word.id is not None}
    for word_id, script_id in (await sql.scripts_of_words(connection, given)).items():
        index, wanted = given[word_id]
        if script_id != wanted:
            raise BadDocument(f"words[{index}]: the id {word_id} belongs to a word of script {script_id} here")


async def _known(
    connection: AsyncConnection, kind: str, entries: Sequence[Entry], column: str, table: sa.Table, listed: set[int]
) -> None:
    elsewhere = {getattr(entry, column) for entry in entries} - listed
    missing = elsewhere - await sql.known_ids(connection, table, elsewhere) if elsewhere else elsewhere
    if missing:
        index, unknown = next((i, v) for i, e in enumerate(entries) if (v := getattr(e, column)) in missing)
        raise BadDocument(f"{kind}[{index}]: {column} {unknown} is not in {table.name}")


async def free_ids(connection: AsyncConnection, table: sa.Table, kind: str, given: Sequence[int | None]) -> int:
    """The first of the ids for entries that carry none: above all others, so that they come last in every list."""
    highest = max([await sql.highest_id(connection, table), *(one for one in given if one is not None)])
    if highest + given.count(None) > MAX_ID:
        raise BadDocument(f"{kind}: there are no ids left for the entries that carry none")
    return highest + 1

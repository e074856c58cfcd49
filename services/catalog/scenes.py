"""Scenes as studios deliver them, without ids: turned into the entries with ids that the import compares and writes.

A scene that is there already is known by its film and its name, and its lines by what is said in them: a line between others
that did not change keeps its id although its text was mended, because learners' takes and results are of that id. Lines that
the scene does not have any more are deleted. So bringing a scene twice changes nothing, as with the rest of a document.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog import import_repository, repository
from services.catalog.document import Document, SceneEntry, SceneLine, ScriptEntry, TokenEntry, UrlEntry, WordEntry, shown
from services.catalog.errors import BadDocument, InvalidField
from services.catalog.models import SCRIPTS, TOKENS, URLS
from services.catalog.references import free_ids
from services.catalog.repository import Script, Token
from services.catalog.timing import check_words


@dataclass(frozen=True, slots=True)
class Placed:
    """A document whose scenes have become entries; what else there is to do for them."""

    document: Document
    gone: list[tuple[int, int]] = field(default_factory=list)  # lines to delete: id, and id of the scene
    cast: list[tuple[int, str | None, str]] = field(default_factory=list)  # scene, its actor_name before, and now


async def place(connection: AsyncConnection, document: Document) -> Placed:
    """Give ids to the scenes of `document` and all in them. Raises `BadDocument`."""
    if not document.scenes:
        return Placed(document)
    placed = Placed(
        replace(
            document,
            urls=list(document.urls),
            tokens=list(document.tokens),
            scripts=list(document.scripts),
            words=list(document.words),
        )
    )
    await _know_films(connection, placed.document)
    without_ids = [None for scene in document.scenes for _ in scene.scripts]
    token_ids = count(
        await free_ids(connection, TOKENS, "scenes", [*(t.id for t in document.tokens), *[None] * len(document.scenes)])
    )
    script_ids = count(await free_ids(connection, SCRIPTS, "scenes", [*(line.id for line in document.scripts), *without_ids]))
    for index, scene in enumerate(document.scenes):
        where = f"scenes[{index}]"
        _refuse_misplaced_words(where, scene)
        there = await _there(connection, where, scene)
        lines_there = await _lines_there(connection, there)
        token = _token(scene, there, token_ids)
        placed.document.tokens.append(token)
        if there is None or there.actor_name != token.actor_name:
            placed.cast.append((token.id, there.actor_name if there else None, token.actor_name))
        kept = _pair_up(lines_there, scene.scripts)
        placed.gone.extend((line.id, token.id) for line in lines_there if line not in kept.values())
        for position, line in enumerate(scene.scripts):
            _add_line(placed.document, token.id, line, kept.get(position), script_ids)
    return placed


async def _know_films(connection: AsyncConnection, document: Document) -> None:
    films = dict.fromkeys(scene.youtube_url for scene in document.scenes)
    known = {row["youtube_url"] for row in await import_repository.rows(connection, URLS.c.youtube_url, films)}
    known |= {url.youtube_url for url in document.urls}
    document.urls.extend(UrlEntry(youtube_url=film) for film in films if film not in known)


async def _there(connection: AsyncConnection, where: str, scene: SceneEntry) -> Token | None:
    same = sa.select(TOKENS.c.id).join(URLS).where(URLS.c.youtube_url == scene.youtube_url)
    ids = list((await connection.execute(same.where(TOKENS.c.token_name == scene.token_name).limit(2))).scalars())
    if len(ids) > 1:
        raise BadDocument(f"{where}: the film has several scenes called {shown(scene.token_name)!r}; import it with ids")
    found = await repository.tokens_by_id(connection, ids)
    return found[0] if found else None


async def _lines_there(connection: AsyncConnection, there: Token | None) -> list[Script]:
    if there is None:
        return []
    lines = await repository.scripts_with_mfcc(connection, await repository.script_ids_of_token(connection, there.id))
    return sorted(lines, key=lambda line: (line.start_time, line.id))


def _token(scene: SceneEntry, there: Token | None, ids: Iterator[int]) -> TokenEntry:
    kept = {name: getattr(there, name) for name in TokenEntry.model_fields} if there else {"id": next(ids)}
    return TokenEntry(**{**kept, **scene.model_dump(exclude_unset=True, exclude={"scripts"})})


def _pair_up(there: Sequence[Script], wanted: Sequence[SceneLine]) -> dict[int, Script]:
    """Which line that is there each of `wanted` is, by position."""
    matcher = SequenceMatcher(None, [line.script for line in there], [line.script for line in wanted], autojunk=False)
    pairs: dict[int, Script] = {}
    for _, start, end, other, other_end in matcher.get_opcodes():
        pairs |= dict(zip(range(other, other_end), there[start:end], strict=False))
    return pairs


def _add_line(document: Document, token_id: int, line: SceneLine, there: Script | None, ids: Iterator[int]) -> None:
    named = line.model_dump(exclude_unset=True, exclude={"words"})
    kept: dict[str, Any] = {"id": there.id} if there else {"id": next(ids)}
    if there and there.script == line.script:
        kept["translation"] = there.translation
    script = ScriptEntry(**{**kept, **named, "token_id": token_id})
    document.scripts.append(script)
    features = {(word.start_time, word.end_time, word.word): word.mfcc for word in there.words} if there else {}
    for word in line.words or ():
        known = {"mfcc": features.get((word.start_time, word.end_time, word.word))}
        document.words.append(WordEntry(**{**known, **word.model_dump(exclude_unset=True), "script_id": script.id}))


def _refuse_misplaced_words(where: str, scene: SceneEntry) -> None:
    for index, line in enumerate(scene.scripts):
        try:
            check_words(line.model_dump(), [word.model_dump() for word in line.words or ()])
        except InvalidField as error:
            path = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in error.field.split("."))
            raise BadDocument(f"{where}.scripts[{index}]{path}: {error.detail}") from None

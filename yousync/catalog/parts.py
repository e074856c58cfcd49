"""A document that is longer than an import may be, in parts that are not: each a document by itself, in an order that works.

A scene goes with everything of it, because an import replaces as a whole what belongs to a scene or to a line.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

PART_BYTES = 48 * 1024 * 1024  # what a platform takes unless it was told otherwise is 64 MiB

Document = dict[str, Any]


def parts_of(document: Document, *, max_bytes: int = PART_BYTES) -> Iterator[Document]:
    """`document` itself if it has no more than `max_bytes`. A part has more only if one scene has."""
    if _size(document) <= max_bytes:
        yield document
        return
    try:
        units = list(_units(document))
    except (LookupError, TypeError, AttributeError, ValueError):
        yield document  # no such document: the platform says what is wrong with it
        return
    part: Document = {}
    filled = 0
    for unit in units:
        size = _size(unit)
        if part and filled + size > max_bytes:
            yield part
            part, filled = {}, 0
        for kind, entries in unit.items():
            if isinstance(entries, dict):
                part.setdefault(kind, {}).update(entries)
            else:
                part.setdefault(kind, []).extend(entries)
        filled += size
    yield part


def _units(document: Document) -> Iterator[Document]:
    """What must stay together, each as a document, and what others refer to before these."""
    for kind in ("users", "urls", "actors"):
        for entry in document.get(kind, ()):
            yield {kind: [entry]}
    melodies = dict(document.get("pitch", {}))
    scenes: dict[Any, Document] = {token["id"]: {"tokens": [token]} for token in document.get("tokens", ())}
    for link in document.get("token_actors", ()):
        _append(scenes, link["token_id"], "token_actors", link)
    scene_of_line = {}
    for script in document.get("scripts", ()):
        _append(scenes, script["token_id"], "scripts", script)
        scene_of_line[script["id"]] = script["token_id"]
    lines: dict[Any, Document] = {}  # that are not in the document, but words of them are
    for word in document.get("words", ()):
        line = word["script_id"]
        if line in scene_of_line:
            _append(scenes, scene_of_line[line], "words", word)
        else:
            _append(lines, line, "words", word)
    for scene in scenes.values():
        for token in scene.get("tokens", ()):
            if (key := token.get("s3_pitch_url")) in melodies:
                scene["pitch"] = {key: melodies.pop(key)}
        yield scene
    yield from lines.values()
    for scene in document.get("scenes", ()):
        yield {"scenes": [scene]}
    for key, melody in melodies.items():
        yield {"pitch": {key: melody}}


def add_up(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the imports of all parts did, as one."""
    total: dict[str, Any] = {}
    for report in reports:
        for kind, counts in report.items():
            if kind == "ignored":
                total[kind] = sorted({*total.get(kind, ()), *counts})
            elif isinstance(counts, dict):
                before = total.setdefault(kind, dict.fromkeys(counts, 0))
                total[kind] = {what: before[what] + number for what, number in counts.items()}
            else:
                total[kind] = counts
    return total


def _append(units: dict[Any, Document], unit: Any, kind: str, entry: Any) -> None:
    units.setdefault(unit, {}).setdefault(kind, []).append(entry)


def _size(document: Document) -> int:
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))

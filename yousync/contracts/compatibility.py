"""Which changes of a published message break somebody, and whom.

Senders and readers are not replaced at the same moment, messages lie in queues and dead-letter queues across releases, and
analysis servers belong to others. So a new version must be readable by those who know the old one, and the other way
round: what may happen to a message is that it gets another field that may be missing, and better words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yousync.contracts.schemas import Schema

# Says something to people, or stands for a whole that is compared part by part.
_WORDS = frozenset({"$schema", "$id", "title", "description", "examples", "x-senders", "x-readers"})
_PARTS = frozenset({"type", "anyOf", "properties", "required", "items", "enum", "const"})
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Break:
    """One reason why a message is not what was published. `field` is empty when it is about the whole message."""

    message: str
    field: str  # `words[].start_time`
    why: str
    readers: tuple[str, ...]

    def __str__(self) -> str:
        place = f"{self.message}: field {self.field}" if self.field else self.message
        return f"{place} {self.why}; {self.message} is read by {', '.join(self.readers) or 'nobody yet'}"


def breaks(published: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[Break]:
    """Everything in `current` that somebody who knows `published` cannot live with. New messages break nobody."""
    found = []
    for name, before in published.items():
        after = current.get(name)
        readers = tuple(sorted({*before.get("x-readers", ()), *(after or {}).get("x-readers", ())}))
        if after is None:
            found.append(Break(name, "", "is gone, or has another name", readers))
        else:
            found += [Break(name, field, why, readers) for field, why in _differences(before, after, "")]
    return found


def _differences(before: Schema, after: Schema, field: str) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) for each difference that matters, in the value at `field`."""
    old, old_null = _variants(before)
    new, new_null = _variants(after)
    if old_null and not new_null:
        yield field, "may no longer be null: messages under way may have it so"
    if new_null and not old_null:
        yield field, "may now be null: its readers count on a value"
    if "default" in before and "default" in after and before["default"] != after["default"]:
        yield field, f"meant {before['default']!r} when it was missing, and now means {after['default']!r}"
    if len(old) == len(new) == 1:
        yield from _values(old[0], new[0], field)
    elif [_without_words(each) for each in old] != [_without_words(each) for each in new]:
        yield field, f"was {_types(old)} and is now {_types(new)}"


def _values(before: Schema, after: Schema, field: str) -> Iterator[tuple[str, str]]:
    if before.get("type") != after.get("type"):
        yield field, f"was {before.get('type', 'anything')} and is now {after.get('type', 'anything')}"
        return
    yield from _choices(_allowed(before), _allowed(after), field)
    yield from _fields(before, after, field)
    if "items" in before or "items" in after:
        yield from _differences(before.get("items", {}), after.get("items", {}), f"{field}[]")
    for rule in sorted((before.keys() | after.keys()) - _WORDS - _PARTS - {"default"}):
        old, new = before.get(rule, _MISSING), after.get(rule, _MISSING)
        if old != new:
            yield field, f"had {_rule(rule, old)} and now has {_rule(rule, new)}"


def _choices(old: list[Any] | None, new: list[Any] | None, field: str) -> Iterator[tuple[str, str]]:
    if old is None and new is not None:
        yield field, f"may now only be {_listed(new)}"
    if old is not None and new is None:
        yield field, f"may now be more than {_listed(old)}"
    if old is None or new is None:
        return
    if gone := [each for each in old if each not in new]:
        yield field, f"may no longer be {_listed(gone)}: messages under way, and senders that are not ours, may say so"
    if added := [each for each in new if each not in old]:
        yield field, f"may now be {_listed(added)}, which its readers refuse"


def _fields(before: Schema, after: Schema, within: str) -> Iterator[tuple[str, str]]:
    old, new = before.get("properties", {}), after.get("properties", {})
    was_required, is_required = before.get("required", ()), after.get("required", ())
    for name in old:
        field = f"{within}.{name}".lstrip(".")
        if name not in new:
            yield field, "is gone, or has another name"
            continue
        if name in was_required and name not in is_required:
            yield field, "may now be missing: its readers count on it"
        if name in is_required and name not in was_required:
            yield field, "may no longer be missing: messages under way, and senders that are not ours, may lack it"
        yield from _differences(old[name], new[name], field)
    for name in new:
        if name not in old and name in is_required:
            yield f"{within}.{name}".lstrip("."), "is new and must be there: messages under way lack it; give it a default"


def _variants(schema: Schema) -> tuple[list[Schema], bool]:
    """The kinds of value that `schema` allows beside null, and whether it allows null."""
    kinds = schema.get("anyOf", [schema])
    values = [kind for kind in kinds if kind.get("type") != "null"]
    return values, len(values) < len(kinds)


def _allowed(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _without_words(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_words(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without_words(each) for name, each in value.items()} if key == "properties" else _without_words(value)
        for key, value in schema.items()
        if key not in _WORDS
    }


def _types(kinds: list[Schema]) -> str:
    return " or ".join(str(kind.get("type", "anything")) for kind in kinds) or "null"


def _rule(name: str, value: object) -> str:
    return f"no {name}" if value is _MISSING else f"{name} {value!r}"


def _listed(values: list[Any]) -> str:
    return ", ".join(map(repr, values))

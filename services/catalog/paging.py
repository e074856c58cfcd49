"""Pages of lists: by their number, or after the last entry that the caller has, which costs the same however far it is.

A cursor is the place of an entry in the order of its list. It is opaque: clients follow `Link: <..>; rel="next"`.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Any, Generic, TypeVar

from services.catalog.errors import BadPage
from services.catalog.fields import MAX_ID, MAX_VIEWS

MAX_CURSOR = 256  # characters; the longest has about 140
_CHECK_BYTES = 6

T = TypeVar("T")
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for. `after` is a cursor and goes without `skip`."""

    skip: int
    limit: int
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows a statement gives: those behind `after` in the list's order, without the first `skip`."""

    skip: int
    limit: int
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A page. `next` is the cursor of what follows, None at the end; `total` is only known where the list ends here."""

    items: Sequence[T]
    next: str | None
    total: int | None


def _whole(highest: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and 0 <= value <= highest


def _seconds(value: object) -> bool:
    return isinstance(value, float) and isfinite(value)


def _md5(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


_KINDS: Mapping[str, Callable[[object], bool]] = {
    "id": _whole(MAX_ID),
    "views": _whole(MAX_VIEWS),
    "lap": _whole(1),
    "seconds": _seconds,
    "md5": _md5,
}


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted. `place` of an entry has a value for each of `kinds`, the last an id, so no two are the same.

    `name` goes into the cursors and has at most 16 bytes.
    """

    name: str
    kinds: tuple[str, ...]
    place: Callable[[Any], Place]

    def part(self, page: Page) -> Part:
        """The rows of `page`, and one more to know whether that is all. Raises `BadPage`."""
        if page.after is None:
            return Part(page.skip, page.limit + 1)
        if page.skip:
            raise BadPage("after a cursor nothing can be skipped: send either `after` or `skip`")
        return Part(0, page.limit + 1, self._read(page.after))

    def listing(self, page: Page, found: Sequence[T]) -> Listing[T]:
        """The page out of the rows that `part` asked for."""
        items = found[: page.limit]
        if len(found) > page.limit:
            return Listing(items, self._write(self.place(items[-1])), None)
        counted = page.after is None and (items or not page.skip)
        return Listing(items, None, page.skip + len(items) if counted else None)

    def _write(self, place: Place) -> str:
        content = json.dumps(place, separators=(",", ":")).encode()
        # Against typing errors, halves of links, and cursors of other lists. A forged one only chooses where to begin.
        check = blake2b(content, digest_size=_CHECK_BYTES, person=self.name.encode()).digest()
        return urlsafe_b64encode(check + content).decode().rstrip("=")

    def _read(self, cursor: str) -> Place:
        try:
            place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_CHECK_BYTES:])
        except (ValueError, RecursionError):
            raise BadPage from None
        if not isinstance(place, list) or len(place) != len(self.kinds):
            raise BadPage
        if not all(_KINDS[kind](value) for kind, value in zip(self.kinds, place, strict=True)):
            raise BadPage
        if self._write(tuple(place)) != cursor:
            raise BadPage
        return tuple(place)

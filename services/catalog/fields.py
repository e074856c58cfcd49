"""What the catalogue's fields may hold, whichever way they come in: bounds that the tables and every reader can live with."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat

MAX_ID = 2**31 - 1  # PostgreSQL's integer: nothing has a higher id
MAX_WORDS = 1000  # of a line: more than 5000 characters of speech can have
MAX_ADDRESS_BYTES = 2048  # what browsers take; an index of PostgreSQL has room for 2704
MAX_SECONDS = 1_000_000  # of a film: eleven days
MAX_VIEWS = 2**63 - 1  # PostgreSQL's bigint

# Control characters, halves of UTF-16 pairs, breaks that editors do not show. Not str.isprintable(), which refuses the wide and
# the unbreakable space of real subtitles as well.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _without_controls(value: str) -> str:
    if not value.isprintable() and not _REFUSED.isdisjoint(map(unicodedata.category, value)):
        raise ValueError("must not contain control characters")
    return value


def _without_controls_but_breaks(value: str) -> str:
    _without_controls(value.translate({ord("\n"): " ", ord("\t"): " "}))
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _was_utf_8(value: str) -> str:
    if "\N{REPLACEMENT CHARACTER}" in value:  # what servers put for bytes of an address that are no UTF-8
        raise ValueError("must be UTF-8")
    return value


def _indexable(value: str) -> str:
    if len(value.encode()) > MAX_ADDRESS_BYTES:
        raise ValueError(f"must not have more than {MAX_ADDRESS_BYTES} bytes")
    return value


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Seconds = Annotated[FiniteFloat, Field(ge=0, le=MAX_SECONDS)]
Probability = Annotated[FiniteFloat, Field(ge=0, le=1)]
Views = Annotated[int, Field(ge=0, le=MAX_VIEWS)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_without_controls), AfterValidator(_not_blank)]
Address = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ADDRESS_BYTES),
    AfterValidator(_without_controls),
    AfterValidator(_indexable),
]
Note = Annotated[str, Field(max_length=5000), AfterValidator(_without_controls_but_breaks)]
Text = Annotated[
    str, Field(min_length=1, max_length=5000), AfterValidator(_without_controls_but_breaks), AfterValidator(_not_blank)
]
# What is looked for, out of an address; it may be blank.
Sought = Annotated[str, AfterValidator(_without_controls), AfterValidator(_was_utf_8)]

"""In which of the platform's two languages a person wants to read."""

import re
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Header


class Language(StrEnum):
    """What texts exist in."""

    KOREAN = "ko"
    ENGLISH = "en"


_RANGE = re.compile(
    r"\s*([a-z]{1,8}|\*)(?:-[a-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.ASCII | re.IGNORECASE
)


def preferred(accept_language: str) -> Language:
    """The language that an Accept-Language header (RFC 9110, 12.5.4) asks for most; Korean when it asks for neither."""
    best, weight = Language.KOREAN, 0.0
    for part in accept_language.split(","):
        found = _RANGE.fullmatch(part)
        if found is None or found[1].lower() not in tuple(Language):
            continue
        q = float(found[2] or 1)
        if q > weight:
            best, weight = Language(found[1].lower()), q
    return best


async def _preferred(accept_language: Annotated[str, Header(description="`en` for English texts")] = "") -> Language:
    return preferred(accept_language)


Preferred = Annotated[Language, Depends(_preferred)]
"""What an endpoint declares to know it; its answer should say `Vary: Accept-Language`."""

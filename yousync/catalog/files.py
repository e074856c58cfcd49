"""What studios' files have in common."""

import codecs
from dataclasses import dataclass


class BadSceneFile(ValueError):
    """A file that no scene can be made of; the text names the tier and the interval."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Which tier is which. None: the usual name, where there is one of it."""

    words: str | None = None
    lines: str | None = None
    translations: str | None = None


def read_text(content: bytes) -> str:
    """What a file says in UTF-8, or in UTF-16 when it begins with the mark of that. Raises `BadSceneFile`."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadSceneFile(f"neither UTF-8 nor UTF-16 (byte {error.start}): let Praat write its text files as UTF-8") from None

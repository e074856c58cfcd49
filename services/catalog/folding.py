"""How names are compared: without case, and however a keyboard composes its letters."""

import unicodedata
from typing import Final

# The consonants that a Korean syllable can begin with, as a keyboard types them alone.
INITIALS: Final = frozenset("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")


def fold(text: str) -> str:
    """`text` for comparing: Unicode NFC (a Mac may type 한 as three letters), case-folded, without surrounding space."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()

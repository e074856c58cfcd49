"""A written word -> the ways to say it, as tokens of the acoustic model.

Two sources, because each misses what the other has: the CMU dictionary that ships with pocketsphinx (134,860 spellings,
how the words are in the book) and hama's grapheme-to-phoneme model (any spelling, in the acoustic model's own habits).
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from hama import G2PModel

from services.analysis.scoring.types import Vector

Variant: TypeAlias = tuple[int, ...]
"""One way to say a word: token numbers."""

MAX_DICTIONARY_VARIANTS: Final = 3
"""Per spelling; every variant adds states to the search, and hardly any word has more."""
MAX_WORD_VARIANTS: Final = 6
"""Per word, after the parts of a hyphenated word have been combined."""

ARPABET: Final = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "t͡ʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "g", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "d͡ʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""The dictionary's alphabet in the acoustic model's."""

SIMILAR_PHONES: Final = (
    # Two spellings of one sound in the model's training labels: hearing either is hearing the phone.
    ("g", "ɡ", 1.0), ("ə", "ʌ", 1.0), ("ɝ", "ɚ", 1.0), ("ɑ", "ɒ", 1.0), ("o", "oʊ", 1.0), ("e", "eɪ", 1.0),
    ("ɹ", "r", 1.0), ("ɫ", "l", 1.0),
    # Accents of English and weak forms, credited in part; set by trial on real sentences.
    ("ə", "ɪ", 0.8), ("ɝ", "ə", 0.8), ("ɑ", "ɔ", 0.8), ("e", "ɛ", 0.8), ("a", "ɑ", 0.8), ("i", "ɪ", 0.7),
    ("ʊ", "u", 0.7), ("s", "z", 0.6), ("ʌ", "ɪ", 0.5), ("ɛ", "æ", 0.5), ("ə", "ɛ", 0.5), ("ə", "æ", 0.5),
    ("t", "d", 0.5), ("ə", "i", 0.4), ("ə", "ɑ", 0.4), ("ð", "d", 0.3),
)  # fmt: skip
"""Pairs of phones and the credit (0..1) that one gets when the other is heard."""


class Script(Enum):
    """What can be done with a written word."""

    SPOKEN = "spoken"
    """Latin letters: it has a pronunciation."""
    SILENT = "silent"
    """Nothing to hear (punctuation, empty) or nothing certain (digits): not judged."""
    FOREIGN = "foreign"
    """Letters of another writing system: no model for it."""


def classify(word: str | None) -> Script:
    """Which of the three a word of a script is."""
    text = unicodedata.normalize("NFKC", word or "")
    letters = [c for c in text if c.isalpha()]
    if any(not unicodedata.name(c, "").startswith("LATIN") for c in letters):
        return Script.FOREIGN
    if not letters or any(c.isdigit() for c in text):
        return Script.SILENT
    return Script.SPOKEN


def spellings(word: str) -> tuple[str, ...]:
    """The parts of a word as dictionaries spell them: lower case, no accents, split at hyphens."""
    plain = unicodedata.normalize("NFKD", word.lower().replace("\u2019", "'"))
    return tuple(part for part in (p.strip("'") for p in re.findall(r"[a-z']+", _without_accents(plain))) if part)


def _without_accents(text: str) -> str:
    return "".join(c for c in text if not unicodedata.combining(c) and c != ".")


def similarity(index: dict[str, int]) -> Vector:
    """(tokens, tokens): the credit for hearing one token where another is meant; 1 on the diagonal."""
    credit = np.eye(len(index))
    for a, b, share in SIMILAR_PHONES:
        credit[index[a], index[b]] = credit[index[b], index[a]] = share
    return credit


class Pronouncer:
    """`variants(word)` for the tokens of one acoustic model. Loads in 0.2 s (mostly the dictionary)."""

    def __init__(self, index: dict[str, int]) -> None:
        self._index = index
        self._g2p = G2PModel()
        self._dictionary = _read_dictionary()
        self._variants_of_part = lru_cache(maxsize=8192)(self._look_up)

    def variants(self, word: str | None) -> tuple[Variant, ...]:
        """Ways to say `word`, likeliest source first; empty for what is not judged or not known."""
        if word is None or classify(word) is not Script.SPOKEN:
            return ()
        readings = [self._variants_of_part(part) for part in spellings(word)]
        combined: Iterable[tuple[Variant, ...]] = product(*readings) if readings else ()
        joined = dict.fromkeys(tuple(token for part in parts for token in part) for parts in combined)
        return tuple(joined)[:MAX_WORD_VARIANTS]

    def _look_up(self, part: str) -> tuple[Variant, ...]:
        guessed = [a.phoneme for a in self._g2p.predict(part).alignments]
        by_model = tuple(self._index[p] for p in guessed if p in self._index and p.strip())
        listed = self._dictionary.get(part, ())[:MAX_DICTIONARY_VARIANTS]
        by_dictionary = [tuple(self._index[ARPABET[phone]] for phone in phones.split()) for phones in listed]
        return tuple(dict.fromkeys(v for v in (by_model, *by_dictionary) if v))


def _read_dictionary() -> dict[str, tuple[str, ...]]:
    """Spelling -> pronunciations in ARPAbet, from the file in the pocketsphinx wheel (its decoder is not loaded)."""
    spec = find_spec("pocketsphinx")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("pocketsphinx is not installed; its wheel brings the pronunciation dictionary")
    path = Path(spec.submodule_search_locations[0], "model", "en-us", "cmudict-en-us.dict")
    entries: dict[str, tuple[str, ...]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            head, _, phones = line.rstrip("\n").partition(" ")
            word = head.partition("(")[0]  # "read(2)" is the second way to say "read"
            entries[word] = (*entries.get(word, ()), phones)
    return entries

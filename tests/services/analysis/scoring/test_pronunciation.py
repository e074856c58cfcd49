import pytest

from services.analysis.scoring.acoustic import AcousticModel
from services.analysis.scoring.pronunciation import (
    ARPABET,
    MAX_WORD_VARIANTS,
    SIMILAR_PHONES,
    Pronouncer,
    Script,
    classify,
    similarity,
    spellings,
)


@pytest.fixture(scope="module")
def index() -> dict[str, int]:
    return AcousticModel().index


@pytest.fixture(scope="module")
def pronouncer(index: dict[str, int]) -> Pronouncer:
    return Pronouncer(index)


def said(pronouncer: Pronouncer, index: dict[str, int], word: str | None) -> list[str]:
    tokens = {number: token for token, number in index.items()}
    return [" ".join(tokens[number] for number in variant) for variant in pronouncer.variants(word)]


def test_both_ways_to_say_a_word_are_known(pronouncer: Pronouncer, index: dict[str, int]) -> None:
    variants = said(pronouncer, index, "Read,")
    assert "ɹ i d" in variants
    assert "ɹ ɛ d" in variants


def test_a_word_that_no_dictionary_has_is_said_by_its_letters(pronouncer: Pronouncer, index: dict[str, int]) -> None:
    (variant,) = said(pronouncer, index, "blorptastic")
    assert variant.startswith("b l")


def test_a_hyphenated_word_is_said_part_by_part(pronouncer: Pronouncer, index: dict[str, int]) -> None:
    variants = said(pronouncer, index, "well-known")
    assert "w ɛ l n oʊ n" in variants
    assert len(variants) <= MAX_WORD_VARIANTS


@pytest.mark.parametrize("word", [None, "", "—", "...", "12", "3rd", "안녕", "日本", "Привет"])
def test_what_cannot_be_judged_has_no_pronunciation(pronouncer: Pronouncer, word: str | None) -> None:
    assert pronouncer.variants(word) == ()


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("don't", Script.SPOKEN),
        ("naïve", Script.SPOKEN),
        ("Ｈｅｌｌｏ", Script.SPOKEN),
        (None, Script.SILENT),
        ("--", Script.SILENT),
        ("1984", Script.SILENT),
        ("안녕", Script.FOREIGN),
        ("K팝", Script.FOREIGN),
    ],
)
def test_words_are_sorted_by_what_can_be_done_with_them(word: str | None, kind: Script) -> None:
    assert classify(word) is kind


@pytest.mark.parametrize(
    ("word", "parts"),
    [("What's", ("what's",)), ("don’t!", ("don't",)), ("'tis", ("tis",)), ("naïve", ("naive",)), ("U.S.A.", ("usa",))],
)
def test_spelling_is_reduced_to_what_dictionaries_hold(word: str, parts: tuple[str, ...]) -> None:
    assert spellings(word) == parts


def test_the_model_knows_every_phone_that_the_tables_name(index: dict[str, int]) -> None:
    named = {*ARPABET.values(), *(phone for a, b, _ in SIMILAR_PHONES for phone in (a, b))}
    assert named <= index.keys()


def test_credit_is_mutual_and_full_only_for_the_same_sound(index: dict[str, int]) -> None:
    credit = similarity(index)
    assert (credit == credit.T).all()
    assert (credit.diagonal() == 1).all()
    assert credit[index["ɡ"], index["g"]] == 1.0
    assert 0 < credit[index["s"], index["z"]] < 1
    assert credit[index["s"], index["m"]] == 0

"""Long documents in parts."""

import json
from typing import Any

import pytest

from yousync.catalog.parts import add_up, parts_of
from yousync.samples import load_catalog

WHOLE = {"token_actors": "token_id", "words": "script_id"}  # what an import replaces as a whole, by what it belongs to


def entries(document: dict[str, Any]) -> dict[str, list[str]]:
    """Everything in a document, in an order that does not matter."""
    listed = {kind: sorted(each.items()) if isinstance(each, dict) else each for kind, each in document.items()}
    return {kind: sorted(json.dumps(entry, sort_keys=True) for entry in each) for kind, each in listed.items() if each}


@pytest.mark.parametrize("max_bytes", [1, 5_000, 60_000, 200_000])
def test_nothing_is_lost_torn_apart_or_before_what_it_refers_to(max_bytes: int) -> None:
    document = load_catalog()
    together: dict[str, Any] = {}
    seen: set[tuple[str, int]] = set()
    belongs: dict[tuple[str, int], int] = {}
    for number, part in enumerate(parts_of(document, max_bytes=max_bytes)):
        for kind, each in part.items():
            if isinstance(each, dict):
                together.setdefault(kind, {}).update(each)
                continue
            together.setdefault(kind, []).extend(each)
            seen |= {(kind, entry["id"]) for entry in each if "id" in entry}
            for entry in each:
                if kind in WHOLE:
                    assert belongs.setdefault((kind, entry[WHOLE[kind]]), number) == number
        for reference, kind in (("token_id", "tokens"), ("actor_id", "actors"), ("script_id", "scripts")):
            referring = [entry for each in part.values() if isinstance(each, list) for entry in each if reference in entry]
            assert {(kind, entry[reference]) for entry in referring} <= seen
    assert entries(together) == entries(document)


def test_a_short_document_stays_one() -> None:
    document = load_catalog()
    assert list(parts_of(document)) == [document]


def test_parts_are_as_long_as_they_may_be_unless_a_scene_is_longer() -> None:
    words = [{"script_id": script, "word": "x" * 50} for script in range(20)]
    parts = list(parts_of({"words": words}, max_bytes=500))
    assert all(len(json.dumps(part, separators=(",", ":"))) <= 500 for part in parts)
    assert len(parts) <= 5
    assert [
        len(part["words"]) for part in parts_of({"words": [{**word, "script_id": 1} for word in words]}, max_bytes=500)
    ] == [20]


def test_what_is_no_document_is_left_to_the_platform() -> None:
    documents: list[dict[str, Any]] = [{"tokens": [{}]}, {"words": 5}, {"scripts": [{"id": [], "token_id": 1}]}, {"pitch": [1]}]
    for document in documents:
        assert list(parts_of(document, max_bytes=1)) == [document]


def test_what_the_parts_did_is_added_up() -> None:
    first = {"tokens": {"created": 2, "updated": 0}, "ignored": ["b"]}
    second = {"tokens": {"created": 1, "updated": 3}, "ignored": ["a", "b"]}
    assert add_up([first, second]) == {"tokens": {"created": 3, "updated": 3}, "ignored": ["a", "b"]}

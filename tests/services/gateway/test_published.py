"""What the gateway adds to the services' documents."""

from typing import Any

import pytest

from services.gateway import published
from services.gateway.examples import NoExample, example_of

SCHEMAS: dict[str, Any] = {
    "Scene": {
        "title": "Scene",
        "type": "object",
        "properties": {
            "token_id": {"type": "integer"},
            "words": {"type": "array", "items": {"$ref": "#/components/schemas/Word"}},
        },
        "required": ["token_id", "words"],
    },
    "Word": {"title": "Word", "type": "object", "properties": {"word": {"type": "string"}, "end_time": {"type": "number"}}},
    "Strange": {"title": "Strange", "type": "object", "properties": {"zyx": {"type": "integer"}}},
    "Shown": {
        "title": "Shown",
        "type": "object",
        "properties": {"token_id": {"type": "integer"}, "category": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "required": ["token_id", "category"],
        "examples": [{"token_id": 7}],
    },
    "Internal": {"type": "object"},
}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_an_example_is_put_together_of_known_words() -> None:
    assert example_of(reference("Scene"), SCHEMAS) == {"token_id": 1, "words": [{"word": "you", "end_time": 11.425}]}


def test_a_word_that_nobody_has_shown_is_named() -> None:
    with pytest.raises(NoExample, match=r"Strange\.zyx"):
        example_of(reference("Strange"), SCHEMAS)


def test_a_schemas_own_example_counts_first_and_keeps_its_nulls() -> None:
    assert example_of(reference("Shown"), SCHEMAS) == {"token_id": 7, "category": None}


def test_a_document_shows_examples_and_nothing_that_no_public_call_has() -> None:
    def ok(name: str) -> dict[str, Any]:
        return {"200": {"description": "", "content": {"application/json": {"schema": reference(name)}}}}

    token_id = {"name": "token_id", "in": "path", "required": True, "schema": {"type": "integer"}}
    document: dict[str, Any] = {
        "paths": {
            "/a": {"get": {"parameters": [dict(token_id)], "responses": ok("Scene")}},
            "/b": {"get": {"responses": ok("Strange")}},
        },
        "components": {"schemas": dict(SCHEMAS)},
    }
    published.show(document)
    assert document["components"]["schemas"].keys() == {"Scene", "Word", "Strange"}
    shown = document["paths"]["/a"]["get"]
    assert shown["parameters"][0]["example"] == 1
    assert shown["responses"]["200"]["content"]["application/json"]["example"]["token_id"] == 1
    assert "example" not in document["paths"]["/b"]["get"]["responses"]["200"]["content"]["application/json"]


def test_only_who_sends_a_body_can_be_too_long_or_too_slow() -> None:
    assert published.refusals({}, 10).keys() == {429, 503, 504}
    assert published.refusals({"requestBody": {}}, 10).keys() == {408, 413, 429, 503, 504}

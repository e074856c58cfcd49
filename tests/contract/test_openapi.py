"""The document at /docs: every public call once, with what a reader needs to make it."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from libs.common.web.openapi import operations
from services.gateway.korean import SUMMARIES, TAGS
from tests.contract.site import Site

JSON, PROBLEM = "application/json", "application/problem+json"
HANGUL = re.compile("[가-힣]")


@pytest.fixture(scope="module")
def english(house: Site) -> Any:
    return house.anonymous.get("/openapi.json", headers={"Accept-Language": "en"}).json()


@pytest.fixture(scope="module")
def korean(house: Site) -> Any:
    return house.anonymous.get("/openapi.json", headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}).json()


def test_every_operation_has_a_summary_a_tag_and_a_readable_name_of_its_own(english: Any) -> None:
    names = []
    for path, method, operation in operations(english):
        where = f"{method} {path}"
        assert operation.get("summary"), where
        assert operation.get("description"), where
        assert operation.get("tags"), where
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", operation["operationId"]), where
        names.append(operation["operationId"])
    assert len(set(names)) == len(names)


def test_a_path_is_there_in_one_form_and_nothing_internal_at_all(english: Any) -> None:
    for path in english["paths"]:
        assert path == "/" or not path.endswith("/"), path
        assert not path.startswith(("/internal", "/metrics", "/health/")), path


def test_every_success_has_an_example_that_is_one(english: Any) -> None:
    missing = []
    for path, method, operation in operations(english):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get(JSON)
            if not status.startswith("2") or content is None:
                continue
            if "example" not in content:
                missing.append(f"{method} {path} {status}")
                continue
            schema = {**content.get("schema", {}), "components": english["components"]}
            Draft202012Validator(schema).validate(content["example"])
    assert missing == []


def test_every_error_is_a_problem_document_and_its_examples_are_too(english: Any) -> None:
    for path, method, operation in operations(english):
        for status, answer in operation["responses"].items():
            if not status.startswith(("4", "5")):
                continue
            content = answer["content"][PROBLEM] if path != "/health" else answer.get("content", {}).get(PROBLEM, {})
            for example in content.get("examples", {}).values():
                schema = {**content["schema"], "components": english["components"]}
                Draft202012Validator(schema).validate(example["value"])
                assert example["value"]["status"] == int(status), (method, path, status)


def test_errors_that_anything_may_meet_are_on_every_operation_that_may(english: Any) -> None:
    for path, method, operation in operations(english):
        statuses = operation["responses"].keys()
        where = (method, path)
        if operation.get("security") == [{"bearer": []}]:
            assert "401" in statuses, where
        if any(each["in"] == "path" and each["schema"].get("type") == "integer" for each in operation.get("parameters", ())):
            assert "422" in statuses, where
        if "requestBody" in operation:
            assert {"408", "413", "422"} <= statuses, where
        if path not in ("/", "/health") and "progress/" not in path and "overview" not in path:
            assert {"503", "504"} <= statuses, where


def test_what_users_read_is_there_in_korean_and_english(english: Any, korean: Any) -> None:
    assert {operation["operationId"] for _, _, operation in operations(english)} == SUMMARIES.keys()
    assert {tag for _, _, operation in operations(english) for tag in operation["tags"]} == TAGS.keys()
    for path, method, operation in operations(korean):
        assert HANGUL.search(operation["summary"]), (method, path)
        assert not HANGUL.search(english["paths"][path][method]["summary"]), (method, path)
    assert HANGUL.search(korean["info"]["description"])
    assert all(HANGUL.search(tag["description"]) for tag in korean["tags"])


def test_the_two_documents_differ_in_texts_only(english: Any, korean: Any) -> None:
    def bare(document: Any) -> Any:
        return {
            path: {method: {**operation, "summary": ""} for method, operation in item.items()}
            for path, item in document["paths"].items()
        }

    assert bare(english) == bare(korean)
    assert english["components"] == korean["components"]

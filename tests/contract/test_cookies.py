"""A cookie proves nothing anywhere, so no page can act as its visitor by making the browser call: nothing is open to CSRF."""

import re
from typing import Any

import pytest

from libs.common.web.openapi import operations
from tests.contract.site import Site

JOB = "0" * 32


@pytest.fixture(scope="module")
def document(house: Site) -> Any:
    return house.anonymous.get("/openapi.json").json()


def test_what_needs_a_sign_in_takes_no_cookie_for_one(house: Site, document: Any) -> None:
    token = house.tokens["admin"]
    cookies = "; ".join(f"{name}={token}" for name in ("access_token", "token", "session", "jwt", "Authorization"))
    asked = 0
    for path, method, operation in operations(document):
        if [] in operation.get("security", [[]]) or {} in operation.get("security", [{}]):
            continue
        url = re.sub(r"\{(\w+)\}", lambda name: JOB if "job" in name[1] or "session" in name[1] else "1", path)
        answer = house.anonymous.request(method, url, headers={"Cookie": cookies})
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        asked += 1
    assert asked > 30


def test_the_document_names_bearers_and_no_cookie(document: Any) -> None:
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http"}
    for path, method, operation in operations(document):
        assert not [each for each in operation.get("parameters", ()) if each["in"] == "cookie"], f"{method} {path}"


def test_no_answer_sets_a_cookie(house: Site) -> None:
    for path in ("/", "/docs", "/api/tokens", "/api/auth/me", "/api/mypage/overview"):
        assert "set-cookie" not in house.user.get(path).headers, path

"""What schemathesis found, as cases of their own."""

import pytest

from tests.contract.catalogue import FILM, FIRST, LINES
from tests.contract.shapes import Script, Token, invalid, refused, shaped
from tests.contract.site import Site


def test_of_two_words_one_may_have_a_probability(house: Site) -> None:
    scene = {"token_name": "Found", "actor_name": "Tom Hardy", "start_time": 70.0, "end_time": 80.0, "youtube_url": FILM}
    token = shaped(Token, house.admin.post("/api/tokens", json=scene))
    line = {"token_id": token.id, "start_time": 71.0, "end_time": 75.0, "script": "you could"}
    words = [
        {"start_time": 71.0, "end_time": 72.0, "word": "you", "probability": 0.81},
        {"start_time": 72.0, "end_time": 73.0, "word": "could"},
    ]
    made = shaped(Script, house.admin.post("/api/scripts", json=line))
    changed = shaped(Script, house.admin.put(f"/api/scripts/{made.id}", json={"words": words}))
    assert [(word.word, word.probability) for word in changed.words] == [("you", 0.81), ("could", None)]
    assert house.admin.delete(f"/api/tokens/{token.id}").status_code == 200


@pytest.mark.parametrize("path", ["/api/actors/search/a%0Ab", "/api/actors/a%0Ab", "/api/actors/%0A"])
def test_a_line_break_in_a_name_is_refused_by_its_field_not_as_an_unknown_path(house: Site, path: str) -> None:
    invalid(house.anonymous.get(path), "path", "query")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/tokens", "GET, POST"),
        (f"/api/tokens/{FIRST}", "DELETE, GET, PUT"),
        ("/api/tokens/latest", "GET"),
        (f"/api/scripts/{LINES[0]}/", "DELETE, GET, PUT"),
        ("/api/actors/", "GET, POST"),
    ],
)
def test_405_names_every_method_of_the_path(house: Site, path: str, methods: str) -> None:
    answer = house.anonymous.options(path)
    refused(answer, 405, "Method Not Allowed")
    assert answer.headers["allow"] == methods


@pytest.mark.parametrize("path", ["/api/urls/check", "/api/auth/dev-login"])
def test_a_body_that_is_no_text_is_the_callers_mistake(house: Site, path: str) -> None:
    json = {"Content-Type": "application/json"}
    refused(house.anonymous.post(path, content=b"\xff\xfe{", headers=json), 400)
    refused(house.anonymous.post(path, content=b"{", headers=json), 422)


@pytest.mark.parametrize("admin", [0, 1, "true", None])
def test_only_true_makes_an_administrator(house: Site, admin: object) -> None:
    answer = house.anonymous.post("/api/auth/dev-login", json={"email": "found@example.org", "admin": admin})
    invalid(answer, "body", "admin")


@pytest.mark.parametrize("last", ["{}", "-1", "9" * 40, "null"])
def test_a_browser_may_send_back_anything_as_its_last_event(house: Site, last: str) -> None:
    answer = house.anonymous.get(f"/api/scripts/analysis-progress/{'0' * 32}", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.text) == (200, 'data: {"error":"Job not found"}\n\n')

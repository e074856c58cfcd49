"""Sections 3 to 5: what administrators write."""

from itertools import count
from typing import Any

import pytest

from tests.contract.catalogue import FILM, UNKNOWN
from tests.contract.shapes import Actor, Script, Token, TokenDetail, invalid, refused, shaped
from tests.contract.site import Site

_numbers = count(1)

SCENE = {"token_name": "Written", "actor_name": "Tom Hardy", "start_time": 70.0, "end_time": 80.0, "youtube_url": FILM}
LINE = {"start_time": 71.0, "end_time": 75.0, "script": "as you like it"}


def written(site: Site, **changed: Any) -> Token:
    """A new scene."""
    return shaped(Token, site.admin.post("/api/tokens", json=SCENE | changed))


def removed(site: Site, token: Token) -> None:
    """The lists of other tests are as they were."""
    assert site.admin.delete(f"/api/tokens/{token.id}").status_code == 200


def test_a_new_actor(site: Site, form: str) -> None:
    name = f"Actor {next(_numbers)} of {site.platform.port}"
    actor = shaped(Actor, site.admin.post(f"/api/actors{form}", json={"name": name}))
    assert actor.name == name
    refused(site.admin.post(f"/api/actors{form}", json={"name": name}), 400, "Actor already exists")
    invalid(site.admin.post(f"/api/actors{form}", json={}), "body", "name")


def test_a_new_scene(site: Site, form: str) -> None:
    token = shaped(Token, site.admin.post(f"/api/tokens{form}", json=SCENE))
    assert SCENE.items() <= token.model_dump().items()
    assert (token.view_count, token.category, token.s3_pitch_url) == (0, None, None)
    assert shaped(TokenDetail, site.anonymous.get(f"/api/tokens/{token.id}{form}")).scripts == []
    removed(site, token)


@pytest.mark.parametrize("field", ["token_name", "actor_name", "start_time", "end_time"])
def test_what_a_scene_must_have(site: Site, field: str, form: str) -> None:
    body = {name: value for name, value in SCENE.items() if name != field}
    invalid(site.admin.post(f"/api/tokens{form}", json=body), "body", field)


def test_a_scene_brings_its_film_and_is_not_without_one(site: Site, form: str) -> None:
    address = f"https://www.youtube.com/watch?v=written{next(_numbers):04}"
    known = f"/api/urls/check{form}"
    assert site.anonymous.post(known, json={"youtube_url": address}).json() == {"exists": False}
    token = written(site, youtube_url=address)
    assert site.anonymous.post(known, json={"youtube_url": address}).json() == {"exists": True}
    removed(site, token)
    invalid(site.admin.post(f"/api/tokens{form}", json=SCENE | {"youtube_url": None}), "body", "youtube_url")


def test_a_changed_scene_keeps_its_views_and_what_is_not_named(site: Site, form: str) -> None:
    token = written(site, category="액션")
    site.anonymous.post(f"/api/tokens/{token.id}/view")
    changed = shaped(Token, site.admin.put(f"/api/tokens/{token.id}{form}", json=SCENE | {"token_name": "Changed"}))
    assert (changed.token_name, changed.view_count, changed.category) == ("Changed", 1, "액션")
    assert shaped(TokenDetail, site.anonymous.get(f"/api/tokens/{token.id}")).token_name == "Changed"
    refused(site.admin.put(f"/api/tokens/{UNKNOWN}{form}", json=SCENE), 404, "Token not found")
    invalid(site.admin.put(f"/api/tokens/{token.id}{form}", json=SCENE | {"start_time": "x"}), "body", "start_time")
    removed(site, token)


def test_a_deleted_scene_is_gone_with_its_lines(site: Site, form: str) -> None:
    token = written(site)
    line = shaped(Script, site.admin.post("/api/scripts", json=LINE | {"token_id": token.id}))
    answer = site.admin.delete(f"/api/tokens/{token.id}{form}")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Token deleted successfully"})
    refused(site.anonymous.get(f"/api/tokens/{token.id}"), 404, "Token not found")
    refused(site.anonymous.get(f"/api/scripts/{line.id}"), 404, "Script not found")
    refused(site.admin.delete(f"/api/tokens/{token.id}{form}"), 404, "Token not found")


def test_a_new_line_and_what_becomes_of_it(site: Site, form: str) -> None:
    token = written(site)
    line = shaped(Script, site.admin.post(f"/api/scripts{form}", json=LINE | {"token_id": token.id}))
    assert (line.token_id, line.script, line.translation, line.words) == (token.id, LINE["script"], None, [])
    body = LINE | {"token_id": token.id, "script": "or not", "translation": "아니면"}
    changed = shaped(Script, site.admin.put(f"/api/scripts/{line.id}{form}", json=body))
    assert (changed.id, changed.script, changed.translation) == (line.id, "or not", "아니면")
    assert shaped(Script, site.anonymous.get(f"/api/scripts/{line.id}")) == changed
    answer = site.admin.delete(f"/api/scripts/{line.id}{form}")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Script deleted successfully"})
    refused(site.admin.delete(f"/api/scripts/{line.id}{form}"), 404, "Script not found")
    refused(site.admin.put(f"/api/scripts/{line.id}{form}", json=body), 404, "Script not found")
    removed(site, token)


def test_a_line_of_no_scene(site: Site, form: str) -> None:
    refused(site.admin.post(f"/api/scripts{form}", json=LINE | {"token_id": UNKNOWN}), 404, "Token not found")
    invalid(site.admin.post(f"/api/scripts{form}", json=LINE), "body", "token_id")

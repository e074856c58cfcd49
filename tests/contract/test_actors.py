"""Section 3: actor_router."""

from urllib.parse import quote

import pytest

from tests.contract.catalogue import FIRST, SECOND
from tests.contract.shapes import Actor, Token, shaped
from tests.contract.site import Site

HARDY = {"name": "Tom Hardy", "id": 701}


def test_all_actors(site: Site, form: str) -> None:
    actors = shaped(list[Actor], site.anonymous.get(f"/api/actors{form}"))
    assert HARDY in [actor.model_dump() for actor in actors]
    page = shaped(list[Actor], site.anonymous.get(f"/api/actors{form}", params={"skip": 1, "limit": 2}))
    assert page == actors[1:3]


@pytest.mark.parametrize("query", ["Tom Hardy", "hardy", "톰", "edward"])
def test_search_finds_any_alias_whatever_the_case_and_with_slips(site: Site, query: str, form: str) -> None:
    found = shaped(list[Actor], site.anonymous.get(f"/api/actors/search/{quote(query)}{form}"))
    assert HARDY in [actor.model_dump() for actor in found]


@pytest.mark.parametrize("query", ["%20", "zzzzzzzz", "%25%25", "____"])
def test_search_for_nothing_finds_nothing_and_wildcards_are_letters(site: Site, query: str, form: str) -> None:
    assert shaped(list[Actor], site.anonymous.get(f"/api/actors/search/{query}{form}")) == []


def test_search_is_bounded(site: Site, form: str) -> None:
    assert len(shaped(list[Actor], site.anonymous.get(f"/api/actors/search/e{form}", params={"limit": 1}))) == 1


@pytest.mark.parametrize("query", ["Tom Hardy", "하디", "100%_h"])
def test_the_scenes_of_an_actor(site: Site, query: str, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/actors/{quote(query)}{form}"))
    assert {token.id for token in tokens} >= {FIRST, SECOND}
    assert {token.actor_name for token in tokens} == {"Tom Hardy"}


@pytest.mark.parametrize("query", ["zzzzzzzz", "7001", "%25"])
def test_an_actor_that_nobody_is_has_no_scenes(site: Site, query: str, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/actors/{query}{form}"))
    assert [token for token in tokens if "%" not in query and token] == []

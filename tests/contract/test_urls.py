"""Section 6: url_router, and the duets of section 11, which are about films too."""

import pytest

from tests.contract.catalogue import FILM, FIRST, LONE_FILM, SECOND
from tests.contract.shapes import Duet, Token, invalid, refused, shaped
from tests.contract.site import Site


@pytest.mark.parametrize(("address", "exists"), [(FILM, True), (FILM.upper(), False), ("", False)])
def test_whether_a_film_is_known(site: Site, address: str, exists: bool, form: str) -> None:
    answer = site.anonymous.post(f"/api/urls/check{form}", json={"youtube_url": address})
    assert (answer.status_code, answer.json()) == (200, {"exists": exists})


def test_the_question_names_a_film(site: Site, form: str) -> None:
    invalid(site.anonymous.post(f"/api/urls/check{form}", json={}), "body", "youtube_url")
    invalid(site.anonymous.post(f"/api/urls/check{form}", json={"youtube_url": 1}), "body", "youtube_url")
    invalid(site.anonymous.get(f"/api/urls/tokens{form}"), "query", "youtube_url")


def test_the_scenes_of_a_film(site: Site, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/urls/tokens{form}", params={"youtube_url": FILM}))
    assert {token.id for token in tokens} >= {FIRST, SECOND}
    assert {token.youtube_url for token in tokens} == {FILM}


def test_a_film_that_is_not_known(site: Site, form: str) -> None:
    refused(site.anonymous.get(f"/api/urls/tokens{form}", params={"youtube_url": "https://youtu.be/no"}), 404, "URL not found")


def test_films_with_exactly_two_scenes_are_duets(site: Site, form: str) -> None:
    duets = {duet.youtube_url: duet for duet in shaped(list[Duet], site.anonymous.get(f"/api/duet/scenes{form}"))}
    assert {token.id for token in duets[FILM].duet_pair} == {FIRST, SECOND}
    assert LONE_FILM not in duets

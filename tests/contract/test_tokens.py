"""Section 4: token_router, what anybody reads."""

from urllib.parse import quote

import httpx
import pytest

from tests.contract.catalogue import CATEGORY, FIRST, LONE, PITCH, SECOND, SHORT, UNKNOWN
from tests.contract.shapes import Token, TokenDetail, invalid, refused, shaped
from tests.contract.site import Site

LISTS = ("/api/tokens", "/api/tokens/latest", "/api/tokens/popular", "/api/tokens/sync-collection")


@pytest.mark.parametrize("path", LISTS)
def test_a_list_of_scenes_and_its_pages(site: Site, path: str, form: str) -> None:
    whole = shaped(list[Token], site.anonymous.get(path + form))
    assert len({token.id for token in whole}) == len(whole) >= 3
    pages = [
        shaped(list[Token], site.anonymous.get(path + form, params={"skip": skip, "limit": 2}))
        for skip in range(0, len(whole), 2)
    ]
    assert [token for page in pages for token in page] == whole


def test_the_newest_come_first(site: Site, form: str) -> None:
    ids = [token.id for token in shaped(list[Token], site.anonymous.get(f"/api/tokens/latest{form}"))]
    assert ids == sorted(ids, reverse=True)


def test_the_most_viewed_come_first(site: Site, form: str) -> None:
    views = [token.view_count for token in shaped(list[Token], site.anonymous.get(f"/api/tokens/popular{form}"))]
    assert views == sorted(views, reverse=True)


def test_the_sync_collection_has_what_is_shorter_than_20_seconds(site: Site, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/tokens/sync-collection{form}"))
    assert all(token.end_time - token.start_time < 20 for token in tokens)
    ids = {token.id for token in tokens}
    assert {FIRST, SHORT} <= ids
    assert not {SECOND, LONE} & ids


def test_a_list_keeps_its_order_after_a_view(site: Site, form: str) -> None:
    before = [token.id for token in shaped(list[Token], site.anonymous.get(f"/api/tokens{form}"))]
    site.anonymous.post(f"/api/tokens/{before[0]}/view{form}")
    assert [token.id for token in shaped(list[Token], site.anonymous.get(f"/api/tokens{form}"))] == before


@pytest.mark.parametrize("category", ["액션", CATEGORY, "_100%"])
def test_the_scenes_of_a_category(site: Site, category: str, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/tokens/category/{quote(category)}{form}"))
    assert {token.id for token in tokens} >= {FIRST, SECOND}
    assert all(category in (token.category or "") for token in tokens)


@pytest.mark.parametrize("category", ["로맨틱%20없음", "%25%25", "애니_이션"])
def test_a_category_that_there_is_not_is_empty_and_wildcards_are_letters(site: Site, category: str, form: str) -> None:
    assert shaped(list[Token], site.anonymous.get(f"/api/tokens/category/{category}{form}")) == []


def test_one_scene_with_its_lines_melody_and_background_voice(site: Site, form: str) -> None:
    token = shaped(TokenDetail, site.anonymous.get(f"/api/tokens/{FIRST}{form}"))
    assert (token.id, token.token_name, token.actor_name, token.category) == (FIRST, "Scene 01", "Tom Hardy", CATEGORY)
    assert token.pitch == PITCH
    assert [line.script for line in token.scripts] == ["you could leave the", "room at once", "or stay for ever"]
    assert [word.word for word in token.scripts[0].words] == ["you", "could", "leave", "the"]
    if token.bgvoice_url is not None:  # null as long as nobody has stored the object
        assert httpx.URL(token.bgvoice_url).query


def test_a_scene_without_melody_and_background_voice_has_none(site: Site, form: str) -> None:
    token = shaped(TokenDetail, site.anonymous.get(f"/api/tokens/{LONE}{form}"))
    assert (token.pitch, token.bgvoice_url, token.scripts) == (None, None, [])


@pytest.mark.parametrize("token_id", [UNKNOWN, 0, -1, 2**31, 2**63, 10**40])
def test_a_scene_that_there_is_not(site: Site, token_id: int, form: str) -> None:
    refused(site.anonymous.get(f"/api/tokens/{token_id}{form}"), 404, "Token not found")


@pytest.mark.parametrize("token_id", ["abc", "1.5", "%00", "%ED%A0%80", "1e3"])
def test_what_is_no_id_of_a_scene(site: Site, token_id: str, form: str) -> None:
    invalid(site.anonymous.get(f"/api/tokens/{token_id}{form}"), "path", "token_id")


def test_the_actors_other_scenes(site: Site, form: str) -> None:
    tokens = shaped(list[Token], site.anonymous.get(f"/api/tokens/{FIRST}/related{form}"))
    assert [token.id for token in tokens] == [SECOND]
    assert shaped(list[Token], site.anonymous.get(f"/api/tokens/{FIRST}/related{form}", params={"skip": 1, "limit": 1})) == []


def test_nothing_is_related_to_a_scene_of_nobody(site: Site, form: str) -> None:
    refused(site.anonymous.get(f"/api/tokens/{UNKNOWN}/related{form}"), 404, "Token not found")
    answer = site.anonymous.get(f"/api/tokens/{LONE}/related{form}")
    refused(answer, 404, "해당 토큰과 연결된 배우를 찾을 수 없습니다.")


def test_a_view_counts_one(site: Site, form: str) -> None:
    before = shaped(TokenDetail, site.anonymous.get(f"/api/tokens/{SHORT}")).view_count
    for who, views in ((site.anonymous, 1), (site.user, 2), (site.callers["expired"], 3)):
        answer = who.post(f"/api/tokens/{SHORT}/view{form}")
        assert (answer.status_code, answer.json()) == (200, {"token_id": SHORT, "view_count": before + views})
    refused(site.anonymous.post(f"/api/tokens/{UNKNOWN}/view{form}"), 404, "Token not found")

"""Section 5: script_router, what anybody reads."""

import pytest

from tests.contract.catalogue import FIRST, LINES, UNKNOWN
from tests.contract.shapes import Script, invalid, refused, shaped
from tests.contract.site import Site


def test_all_lines_and_their_pages(site: Site, form: str) -> None:
    whole = shaped(list[Script], site.anonymous.get(f"/api/scripts{form}"))
    assert {line.id for line in whole} >= set(LINES)
    assert shaped(list[Script], site.anonymous.get(f"/api/scripts{form}", params={"skip": 1, "limit": 2})) == whole[1:3]


def test_one_line_with_its_words(site: Site, form: str) -> None:
    line = shaped(Script, site.anonymous.get(f"/api/scripts/{LINES[0]}{form}"))
    assert (line.token_id, line.script, line.translation) == (FIRST, "you could leave the", "번역 1")
    assert [(word.word, word.probability) for word in line.words][:2] == [("you", 0.81), ("could", 0.9)]


@pytest.mark.parametrize("script_id", [UNKNOWN, 0, -1, 2**31, 2**63])
def test_a_line_that_there_is_not(site: Site, script_id: int, form: str) -> None:
    refused(site.anonymous.get(f"/api/scripts/{script_id}{form}"), 404, "Script not found")


def test_what_is_no_id_of_a_line(site: Site, form: str) -> None:
    invalid(site.anonymous.get(f"/api/scripts/abc{form}"), "path", "script_id")
    invalid(site.anonymous.get(f"/api/scripts/token/abc{form}"), "path", "token_id")


def test_the_lines_of_a_scene_as_they_are_spoken(site: Site, form: str) -> None:
    lines = shaped(list[Script], site.anonymous.get(f"/api/scripts/token/{FIRST}{form}"))
    assert [line.id for line in lines] == list(LINES)
    page = {"skip": 1, "limit": 1}
    assert shaped(list[Script], site.anonymous.get(f"/api/scripts/token/{FIRST}{form}", params=page)) == lines[1:2]
    assert shaped(list[Script], site.anonymous.get(f"/api/scripts/token/{UNKNOWN}{form}")) == []

"""Entity tags by themselves."""

import pytest

from services.catalog.etags import allows, etag, unmodified


@pytest.mark.parametrize(
    ("if_match", "allowed"),
    [
        ('"v12"', True),
        ('"v12-5f3a"', True),
        ('"v11", "v12"', True),
        ('"v11","x,y" ,"v12"', True),
        ("*", True),
        (" * ", True),
        ('W/"v12"', False),
        ('"v1", "v2"', False),
        ('"v120"', False),
        ('"v012x"', False),
        ("v12", False),
        ('"v12', False),
        ('"v٣"', False),
        ('"v' + "1" * 5000 + '"', False),
        ('x"v12"', False),
        ("", False),
    ],
)
def test_an_edit_is_allowed_from_the_version_that_is_there(if_match: str, allowed: bool) -> None:
    assert allows(if_match, 12) is allowed


def test_two_representations_of_one_version_have_two_tags_and_both_allow_an_edit() -> None:
    first, second = etag(7, b"3 views"), etag(7, b"4 views")
    assert first != second
    assert allows(first, 7)
    assert allows(second, 7)
    assert not allows(first, 8)
    assert not unmodified(first, second)


@pytest.mark.parametrize(
    ("if_none_match", "same"), [('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False)]
)
def test_a_body_is_not_sent_again_to_who_has_it(if_none_match: str, same: bool) -> None:
    assert unmodified(if_none_match, 'W/"a"') is same
    assert unmodified(if_none_match, '"a"') is same

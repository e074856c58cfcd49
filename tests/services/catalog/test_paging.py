"""Cursors by themselves."""

from typing import Any

import pytest

from services.catalog.errors import BadPage
from services.catalog.paging import Order, Page

BY_ID = Order("things", ("id",), lambda number: (number,))
BY_TIME = Order("lines", ("seconds", "id"), lambda place: place)


def cursor(order: Order, entry: Any) -> str:
    """The cursor behind `entry`."""
    found = order.listing(Page(0, 1), [entry, entry]).next
    assert found is not None
    return found


def test_a_cursor_leads_to_where_the_page_ended() -> None:
    assert BY_ID.part(Page(0, 10, cursor(BY_ID, 4711))).after == (4711,)
    assert BY_TIME.part(Page(0, 10, cursor(BY_TIME, (0.1 + 0.2, 7)))).after == (0.1 + 0.2, 7)


def test_a_cursor_that_was_touched_anywhere_is_refused() -> None:
    whole = cursor(BY_TIME, (12.5, 7))
    for at in range(len(whole)):
        for touched in (
            whole[:at] + ("A" if whole[at] != "A" else "B") + whole[at + 1 :],
            whole[:at],
            whole[:at] + "!" + whole[at:],
        ):
            with pytest.raises(BadPage):
                BY_TIME.part(Page(0, 10, touched))


@pytest.mark.parametrize("place", [[-1], [2**31], [True], [1.0], ["1"], [None], [1, 2], [], {"id": 1}, 1])
def test_a_forged_cursor_cannot_hold_what_no_entry_has(place: Any) -> None:
    with pytest.raises(BadPage):
        BY_ID.part(Page(0, 10, cursor(Order("things", ("id",), lambda _: place), None)))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1, "1"])
def test_nor_times_that_are_none(seconds: Any) -> None:
    with pytest.raises(BadPage):
        BY_TIME.part(Page(0, 10, cursor(BY_TIME, (seconds, 1))))


@pytest.mark.parametrize("text", ["", "=", "é", "a" * 256, "[]", "AAAAAAAAW10"])
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(BadPage):
        BY_ID.part(Page(0, 10, text))


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(BadPage):
        Order("others", ("id",), BY_ID.place).part(Page(0, 10, cursor(BY_ID, 1)))


def test_a_total_is_told_where_the_list_ends() -> None:
    assert BY_ID.listing(Page(4, 2), [5, 6]).total == 6
    assert BY_ID.listing(Page(4, 2), [5, 6, 7]).total is None
    assert BY_ID.listing(Page(0, 2), []).total == 0
    assert BY_ID.listing(Page(9, 2), []).total is None
    assert BY_ID.listing(Page(0, 2, "behind something"), [5]).total is None

import pytest

from libs.common.bus.base import Message
from libs.common.outbox.handover import LARGEST, Handover


def messages(number: int) -> list[Message]:
    return [Message(type="t", body=b"{}", source="s", subject="a", routing_key="t") for _ in range(number)]


@pytest.fixture
def handover() -> Handover:
    handover = Handover()
    handover.open()
    return handover


def test_an_offer_is_taken_once_and_whole(handover: Handover) -> None:
    first, second = messages(2)
    with handover.offering() as offer:
        handover.add(offer, [first])
        handover.add(offer, [second])
    assert handover.take(offer.hint) == [first, second]
    assert handover.take(offer.hint) is None


def test_hints_of_other_processes_are_unknown(handover: Handover) -> None:
    elsewhere = Handover()
    elsewhere.open()
    with handover.offering() as ours, elsewhere.offering() as theirs:
        handover.add(ours, messages(1))
        elsewhere.add(theirs, messages(1))
    assert handover.take(theirs.hint) is None


def test_an_exception_withdraws_the_offer(handover: Handover) -> None:
    with pytest.raises(ZeroDivisionError), handover.offering() as offer:
        handover.add(offer, messages(1))
        raise ZeroDivisionError
    assert handover.take(offer.hint) is None


def test_nothing_is_kept_while_nobody_listens(handover: Handover) -> None:
    with handover.offering() as before, handover.offering() as after:
        handover.add(before, messages(1))
        handover.close()
        handover.add(after, messages(1))
        handover.open()
    assert handover.take(before.hint) is None
    assert handover.take(after.hint) is None


def test_an_offer_that_grows_too_large_is_forgotten_for_good(handover: Handover) -> None:
    with handover.offering() as offer:
        handover.add(offer, messages(LARGEST))
        handover.add(offer, messages(1))
        assert offer.messages == []
        handover.add(offer, messages(1))
    assert handover.take(offer.hint) is None


def test_what_was_found_in_the_table_is_not_handed_over_again(handover: Handover) -> None:
    found, new = messages(2)
    with handover.offering() as offer:
        handover.add(offer, [found, new])
    handover.drop({found.id})
    assert handover.take(offer.hint) == [new]

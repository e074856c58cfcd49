"""Hands what this process commits to its own relay, which then need not read it back."""

import itertools
import secrets
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager

from libs.common.bus.base import Message

LARGEST = 100  # messages of one transaction; what wants to publish more is in no hurry, and need not stay in memory


class Offer:
    """The messages of one transaction, until PostgreSQL says that it was committed."""

    def __init__(self, hint: str) -> None:
        self.hint = hint  # what the transaction notifies with
        self.messages: list[Message] = []
        self.too_large = False


class Handover:
    """Messages on their way from the transactions of this process to its relay.

    A transaction offers them before it commits, under a hint that it also gives to NOTIFY. PostgreSQL delivers the hint if and
    only if the transaction was committed, and delivers all hints in the order of the commits (its source says so at
    `PreCommit_Notify`): so whoever takes offers as their hints arrive has everything in order, even when the answers
    to two commits overtake each other, and knows of every commit of another process that came before.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._offers: dict[str, Offer] = {}
        self._open = False

    def open(self) -> None:
        """From now on hints are listened to."""
        self._open = True

    def close(self) -> None:
        """No more: what is offered has to be read from the table by whoever listens next."""
        self._open = False
        self._offers.clear()

    @contextmanager
    def offering(self) -> Iterator[Offer]:
        """The offer of one transaction that commits inside the block; an exception withdraws it."""
        offer = Offer(f"{self._process}:{next(self._numbers)}")
        try:
            yield offer
        except BaseException:
            self.withdraw(offer)
            raise

    def add(self, offer: Offer, messages: Sequence[Message]) -> None:
        """Offer `messages` too, unless that is too much or nobody listens."""
        offer.too_large = offer.too_large or len(offer.messages) + len(messages) > LARGEST
        if offer.too_large:
            offer.messages.clear()
            self.withdraw(offer)
        else:
            offer.messages += messages
            if self._open:
                self._offers[offer.hint] = offer

    def withdraw(self, offer: Offer) -> None:
        """Its transaction committed nothing, or nobody knows."""
        self._offers.pop(offer.hint, None)

    def take(self, hint: str) -> list[Message] | None:
        """The messages that were committed with `hint`; None when they have to be looked up."""
        offer = self._offers.pop(hint, None)
        return None if offer is None else offer.messages

    def drop(self, ids: Set[str]) -> None:
        """Messages with these ids were found in the table before their hint arrived."""
        for offer in self._offers.values():
            offer.messages = [message for message in offer.messages if message.id not in ids]

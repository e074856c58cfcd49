"""An event of the tests' own."""

from libs.common.contracts.base import Event


class NumberSeen(Event, name="test.number-seen"):
    """A number was seen."""

    value: int

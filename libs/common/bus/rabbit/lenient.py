"""Reading whatever a producer put into a message.

pamqp 4.0.1 raises on text that is not UTF-8, on a timestamp beyond the year 9999 and that ends the
connection: the message comes again, on every connection, and nobody who uses pamqp could ever take it out. RabbitMQ checks
neither. So two decoders of pamqp are replaced, for the whole process: there is no other way in.
"""

from pamqp import decode
from pamqp.commands import Basic

UNDECODABLE = "x-yousync-undecodable"  # stands for the headers, when they cannot be decoded: why not

_strictly = Basic.Properties.unmarshal


def install() -> None:
    """From now on decode every text and every message's properties; calling it again is harmless."""
    decode.METHODS["shortstr"] = _short_text
    Basic.Properties.unmarshal = _properties  # type: ignore[method-assign, assignment]


def _short_text(value: bytes) -> tuple[int, str]:
    """Such as a routing key: what is not UTF-8 is shown as `\\xff`."""
    length = value[0]
    return length + 1, value[1 : length + 1].decode(errors="backslashreplace")


def _properties(self: Basic.Properties, flags: int, data: bytes) -> None:
    """Up to the first property that cannot be decoded. Headers come third, before all that nobody here reads."""
    try:
        _strictly(self, flags, data)
    except Exception as error:  # whatever it is, it must not end the connection
        if self.headers is None and flags & Basic.Properties.flags["headers"]:
            self.headers = {UNDECODABLE: f"the headers cannot be decoded: {error}"}

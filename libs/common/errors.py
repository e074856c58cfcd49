"""Every expected failure has a name and a kind; one place maps kinds to HTTP, another to retry or dead letter.

YouSyncError
├── (each service's own errors, in its errors.py)
├── Unauthenticated   no valid proof of who is calling
├── Forbidden         known caller, not allowed
└── Unavailable       something this call depends on is down for now
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar


class Kind(StrEnum):
    """What sort of failure it is, for whoever has to react to it."""

    INVALID = "invalid"  # the input can never be accepted as it is
    UNPROCESSABLE = "unprocessable"  # well formed, but what it says cannot be
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the state changed meanwhile, or the thing exists already
    PRECONDITION = "precondition"  # the caller made a condition on the state, which it does not meet
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"  # a media type or format that is not served
    LIMITED = "limited"  # too many calls or streams
    UNAVAILABLE = "unavailable"  # may work later: the only kind that is retried


class YouSyncError(Exception):
    """An expected failure. `detail` is written for the person who caused or meets it and leaks nothing internal."""

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str] = "error"
    members: Mapping[str, Any] = MappingProxyType({})  # what programs are told beside `code`
    why: str = ""  # a word for metrics and logs about a caller who is refused, where `code` says less or something else

    def __init__(self, detail: str, *, why: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        if why:
            self.why = why

    @property
    def retryable(self) -> bool:
        """True when the same call may succeed later without anybody changing anything."""
        return self.kind is Kind.UNAVAILABLE


class Unauthenticated(YouSyncError):
    """Nobody, or nobody that can be believed, is calling."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"


class Forbidden(YouSyncError):
    """The caller is known and may not do this."""

    kind = Kind.FORBIDDEN
    code = "forbidden"


class Unavailable(YouSyncError):
    """Something that the call needs does not answer at the moment."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"

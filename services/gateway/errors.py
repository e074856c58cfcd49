"""Every expected failure of the gateway itself; those of the services pass through as they are.

YouSyncError
├── BodyTooLarge      the request's body is over the limit of its route
├── ServiceDown       the service behind the route does not take connections, or broke off
└── TooManyStreams    this process holds as many event streams as it may
"""

from libs.common.errors import Kind, Unavailable, YouSyncError


class BodyTooLarge(YouSyncError):
    """The body is larger than the route takes."""

    kind = Kind.TOO_LARGE
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request's body may have at most {limit} bytes")


class ServiceDown(Unavailable):
    """The service that would answer cannot be reached."""

    code = "service_down"

    def __init__(self) -> None:
        super().__init__("the service is not available at the moment, please try again")


class TooManyStreams(Unavailable):
    """No more event streams for now."""

    code = "too_many_streams"

    def __init__(self) -> None:
        super().__init__("too many event streams are open at the moment, please try again")

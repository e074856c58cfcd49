"""Every expected failure of the gateway itself; those of the services pass through as they are.

YouSyncError
├── BodyTooLarge      the request's body is over the limit of its route
├── ServiceDown       the service behind the route does not take connections, or broke off
├── TooManyOwnStreams an address or a user holds as many event streams as it may
├── TooManyRequests   an address or a user is over a limit
└── TooManyStreams    this process holds as many event streams as it may
"""

from libs.common.errors import Kind, Unavailable, YouSyncError
from libs.common.web.language import Language


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


class TooManyOwnStreams(YouSyncError):
    """Too many event streams of one address or user."""

    kind = Kind.LIMITED
    code = "too_many_own_streams"

    def __init__(self, language: Language) -> None:
        text = {
            Language.KOREAN: "열려 있는 실시간 연결이 너무 많습니다. 다른 창을 닫고 다시 시도해 주세요.",
            Language.ENGLISH: "too many event streams are open, please close other windows and try again",
        }
        super().__init__(text[language])


class TooManyRequests(YouSyncError):
    """Too many requests from one address or of one user."""

    kind = Kind.LIMITED
    code = "too_many_requests"

    def __init__(self, seconds: int, language: Language) -> None:
        text = {
            Language.KOREAN: f"요청이 너무 많습니다. {seconds}초 뒤에 다시 시도해 주세요.",
            Language.ENGLISH: f"too many requests, please try again in {seconds} s",
        }
        super().__init__(text[language])


class TooManyStreams(Unavailable):
    """No more event streams for now."""

    code = "too_many_streams"

    def __init__(self) -> None:
        super().__init__("too many event streams are open at the moment, please try again")

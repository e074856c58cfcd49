"""What errors say in English; in Korean they say it themselves (`errors.py`)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from libs.common.errors import YouSyncError
from libs.common.web.language import Language

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "unknown_user": "There is no such account any more.",
        "deactivated": "This account is switched off.",
        "session_ended": "The session has ended. Please sign in again.",
        "sign_in_again": "An account can be deleted within 10 minutes after signing in. Please sign in again.",
        "forbidden": "This is for administrators.",
        "account_not_found": "There is no such account.",
        "not_oneself": "Nobody can do this to their own account. Ask another administrator.",
        "last_administrator": "This is the last administrator. Make somebody else one first.",
        "admin_by_settings": "The settings make this address an administrator's: take it out of AUTH_ADMIN_EMAILS.",
    }
)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Errors of this block whose code has a text say it in this language."""
    try:
        yield
    except YouSyncError as error:
        if language is Language.ENGLISH:
            error.detail = ENGLISH.get(error.code, error.detail)
        raise

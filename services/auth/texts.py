"""What errors say in English; in Korean they say it themselves (`errors.py`)."""

from collections.abc import Mapping
from types import MappingProxyType

from libs.common.web.language import Language

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "unknown_user": "There is no such account any more.",
        "deactivated": "This account is switched off.",
        "session_ended": "The session has ended. Please sign in again.",
        "forbidden": "This is for administrators.",
        "account_not_found": "There is no such account.",
        "not_oneself": "Nobody can do this to their own account. Ask another administrator.",
        "last_administrator": "This is the last administrator. Make somebody else one first.",
        "admin_by_settings": "The settings make this address an administrator's: take it out of AUTH_ADMIN_EMAILS.",
    }
)


def spoken(code: str, language: Language) -> str | None:
    """The text of an error's code, where there is another than the error's own."""
    return ENGLISH.get(code) if language is Language.ENGLISH else None

"""What a learner reads about dubbings, in Korean and English."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from libs.common.errors import YouSyncError
from libs.common.web.language import Language

# The Korean ones of errors stand with the errors.
_ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "no_takes": "You have not recorded anything of this scene yet. Please record it first.",
        "no_dubbing": "There is no dubbing of this scene.",
        "scene_not_mixable": "The length of this scene is wrong, or too long to be mixed.",
        "take_unusable": "One of the recordings cannot be read. Please record that line again.",
        "too_many_dubbings": "Too many of your dubbings are being mixed. Please try again in a moment.",
        "dubbing_not_ready": "The dubbing is still being mixed. Please try again in a moment.",
        "dubbing_failed": "The dubbing could not be mixed. Please try again in a moment.",
    }
)


def done(language: Language) -> str:
    """The dubbing can be heard."""
    return "The dubbing is ready." if language is Language.ENGLISH else "합성 및 업로드 완료"


@contextmanager
def errors_in(language: Language) -> Iterator[None]:
    """Errors of dubbings say what they have to say in this language."""
    try:
        yield
    except YouSyncError as error:
        if language is Language.ENGLISH:
            error.detail = _ENGLISH.get(error.code, error.detail)
        raise

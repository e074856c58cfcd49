"""The two form POSTs that analysis servers of the old platform read: field names and shapes are theirs and stay."""

from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from libs.common.contracts.audio import AnalysisRequested, JobKind
from libs.common.contracts.catalog import Word

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_PLAIN: Final = frozenset(ascii_letters + digits + "_.-~")


def form_of(request: AnalysisRequested) -> dict[str, str]:
    """The fields of the form that asks for `request`."""
    match request.kind:
        case JobKind.LINE:
            return {"request_data": to_json(_line(request)).decode()}
        case JobKind.TOKEN:
            return {
                "s3_audio_url": _recording(request),
                "video_id": str(request.token_id),
                "webhook_url": request.webhook_url or "",
                "s3_textgrid_url": request.textgrid_uri or "",
                "s3_pitch_url": request.pitch_uri or "",
            }


def encoded(form: Mapping[str, str]) -> bytes:
    """The body of the POST.

    As `urllib.parse.urlencode` would make it, which takes 6 ms for a line's 20 KB of features, letter by letter: few letters
    have to be quoted, each of them many times.
    """
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in form.items()).encode()


def _quoted(text: str) -> str:
    strange = set(text) - _PLAIN
    for letter in sorted(strange, key=lambda letter: letter != "%"):  # first the one that quoting brings in
        text = text.replace(letter, quote(letter, safe=""))
    return text


def _line(request: AnalysisRequested) -> dict[str, Any]:
    return {
        "s3_audio_url": _recording(request),
        "webhook_url": request.webhook_url or "",
        "script": {"id": request.script_id, "words": [_word(word) for word in request.words]},
    }


def _word(word: Word) -> dict[str, Any]:
    fields = {"id": word.id, "start_time": word.start_time, "end_time": word.end_time, "word": word.word}
    return fields if word.mfcc is None else {**fields, "mfcc": word.mfcc}


def _recording(request: AnalysisRequested) -> str:
    """Where the server reads the recording: with its own access to the bucket; what lies on our disk it gets by a link."""
    return request.audio_uri if request.audio_uri.startswith("s3://") else request.audio_url

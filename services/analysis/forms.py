"""The two form POSTs that analysis servers of the old platform read: field names and shapes are theirs and stay."""

from typing import Any

from pydantic_core import to_json

from libs.common.contracts.audio import AnalysisRequested, JobKind
from libs.common.contracts.catalog import Word


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

"""What a learner reads of an analysis."""

from typing import Final

from libs.common.contracts.audio import PreprocessRequested
from services.analysis.errors import AudioTooLarge, RecordingGone, TakeRefused
from services.analysis.orders import Order

STEPS: Final = {
    "decode": "녹음 읽기",
    "listen": "발음 듣기",
    "align": "단어 찾기",
    "compare": "배우와 비교",
    "score": "점수 계산",
}
"""By the name that the engine gives a step."""

FAILURES: Final = {
    AudioTooLarge.code: "녹음 파일이 너무 큽니다. 더 짧게 녹음해 주세요.",
    RecordingGone.code: "녹음 파일을 찾을 수 없습니다. 다시 녹음해 주세요.",
    TakeRefused.code: "분석 서버가 이 녹음을 처리할 수 없습니다. 다시 녹음해 주세요.",
}
"""By error code."""
FAILURE: Final = "분석하지 못했습니다. 잠시 후 다시 시도해 주세요."
FILM_FAILURE: Final = "영상을 처리하지 못했습니다. 잠시 후 다시 시도해 주세요."


def failure(order: Order, code: str) -> str:
    """What is said of a job that failed for the reason `code`."""
    return FILM_FAILURE if isinstance(order, PreprocessRequested) else FAILURES.get(code, FAILURE)

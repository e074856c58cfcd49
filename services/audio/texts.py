"""What a learner reads about a job, and the progress that goes with it. The first block is the public contract's."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from libs.common.contracts.audio import JobKind
from libs.common.contracts.notifier import FILM_REQUESTED
from libs.common.web.language import Language

STORED_PROGRESS = 40
DISPATCHED_PROGRESS = 70
ALMOST_DONE_PROGRESS = 99
COMPLETED = "분석 완료"
UPLOADED = "업로드 완료, 분석 시작"
CLEANED_UP = "익명 사용자 결과 정리 작업 완료"


GAVE_UP = "분석 서버에 문제가 생겨 분석하지 못했습니다. 잠시 후 다시 녹음해 주세요."
TOO_LATE = "분석이 제한 시간 안에 끝나지 않았습니다. 잠시 후 다시 녹음해 주세요."
CANCELLED = "분석이 취소되었습니다."
NO_PREPROCESSOR = "영상을 처리할 서버가 제한 시간 안에 나타나지 않았습니다."


@dataclass(frozen=True, slots=True)
class Steps:
    """What a job's owner reads on the way, and the progress; `at` stands before the name that a server gives its step."""

    stored: str
    dispatched: str
    running: str
    at: str
    completed: str = COMPLETED
    cancelled: str = CANCELLED
    gave_up: str = GAVE_UP
    too_late: str = TOO_LATE
    stored_progress: int = STORED_PROGRESS
    dispatched_progress: int = DISPATCHED_PROGRESS


STEPS: Mapping[JobKind, Steps] = MappingProxyType(
    {
        JobKind.LINE: Steps("S3 업로드", "분석 서버 호출", "분석 중…", "분석 중…"),
        JobKind.TOKEN: Steps("S3 업로드 중...", "분석 서버 요청 중...", "분석 중... 결과 대기", "분석 중..."),
        JobKind.FILM: Steps(
            FILM_REQUESTED,
            "영상 처리 서버 호출",
            "영상 처리 중...",
            "영상 처리 중...",
            completed="영상 처리 완료",
            cancelled="영상 처리가 취소되었습니다.",
            gave_up="영상을 처리하지 못했습니다. 잠시 후 다시 시도해 주세요.",
            too_late="영상 처리가 제한 시간 안에 끝나지 않았습니다.",
            stored_progress=0,
            dispatched_progress=5,
        ),
    }
)

_AGAIN = (GAVE_UP, "The analysis server had a problem with this recording. Please record it again in a moment.")
# By code, in Korean and English: states of a job, reasons of its failure, errors of the endpoints that speak both languages.
_BY_CODE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "queued": ("분석 순서를 기다리고 있습니다.", "Waiting for its turn to be analysed."),
        "processing": ("분석하고 있습니다.", "Being analysed."),
        "completed": ("분석이 완료되었습니다.", "The analysis is complete."),
        "cancelled": (CANCELLED, "The analysis was cancelled."),
        "deadline": (TOO_LATE, "The analysis did not finish in time. Please record it again in a moment."),
        "audio_too_large": (
            "녹음 파일이 너무 큽니다. 더 짧게 녹음해 주세요.",
            "The recording is too large. Please make a shorter one.",
        ),
        "recording_gone": (
            "녹음 파일을 찾을 수 없습니다. 다시 녹음해 주세요.",
            "The recording cannot be found any more. Please record it again.",
        ),
        "analysis_server_refused": (
            "분석 서버가 이 녹음을 처리할 수 없습니다. 다시 녹음해 주세요.",
            "The analysis server cannot process this recording. Please record it again.",
        ),
        "analysis_error": _AGAIN,
        "invalid_result": _AGAIN,
        "worker_lost": _AGAIN,
        "scoring_timed_out": _AGAIN,
        "scoring_crashed": _AGAIN,
        "recording_unreachable": _AGAIN,
        "analysis_server_unavailable": _AGAIN,
        "analysis_server_unreachable": _AGAIN,
        "analysis_server_failed": _AGAIN,
        "analysis_server_busy": _AGAIN,
        "analysis_server_silent": _AGAIN,
        "job_not_found": ("분석 작업을 찾을 수 없습니다.", "There is no such analysis."),
        "job_ended": ("이미 끝난 분석은 취소할 수 없습니다.", "An analysis that has ended cannot be cancelled."),
        "not_to_be_done_over": (
            "실패하거나 취소된 분석만 다시 시작할 수 있습니다.",
            "Only an analysis that failed or was cancelled can be started again.",
        ),
    }
)
# The same of films, where other words are needed; a failure that is not here is said as `preprocessing_failed`.
_OF_FILMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "queued": (FILM_REQUESTED, "Waiting to be processed."),
        "processing": ("영상을 처리하고 있습니다.", "The film is being processed."),
        "completed": ("영상 처리가 완료되었습니다.", "The film has been processed."),
        "cancelled": (STEPS[JobKind.FILM].cancelled, "Processing the film was cancelled."),
        "deadline": (STEPS[JobKind.FILM].too_late, "The film was not processed in time."),
        "no_preprocessor": (NO_PREPROCESSOR, "No server that processes films turned up in time."),
        "preprocessing_failed": (STEPS[JobKind.FILM].gave_up, "The film could not be processed. Please try again later."),
    }
)


def known(kind: JobKind, reason: str) -> str:
    """A failure's reason as programs outside are told it: one that is in the tables, whatever a server made up."""
    if kind is JobKind.FILM:
        return reason if reason in _BY_CODE or reason in _OF_FILMS else "preprocessing_failed"
    return reason if reason in _BY_CODE else "analysis_error"


def spoken(code: str, language: Language) -> str | None:
    """The text of a code; None of one that has none."""
    texts = _BY_CODE.get(code)
    return None if texts is None else texts[language is Language.ENGLISH]


def spoken_of(kind: JobKind, code: str, language: Language) -> str:
    """The text of a state of a job of this kind, or of the reason why it failed."""
    if kind is JobKind.FILM:
        return _OF_FILMS.get(code, _OF_FILMS["preprocessing_failed"])[language is Language.ENGLISH]
    return spoken(code, language) or ""


MAX_LENGTH = 300  # characters of a text that an analysis server sends for the learner


def progress_while_running(kind: JobKind, percent: int) -> int:
    """A server's own 0..100 as part of the whole job: of a take, 70..99."""
    within, begin = min(max(percent, 0), 100), STEPS[kind].dispatched_progress
    return begin + within * (ALMOST_DONE_PROGRESS - begin) // 100


def step(kind: JobKind, name: str) -> str:
    """What is shown while the analysis is at the step that its server calls `name`; it may have no name."""
    shown = cleaned(name)
    return f"{STEPS[kind].at} {shown}" if shown else STEPS[kind].running


def cleaned(text: str) -> str:
    """`text` from an analysis server, fit for a screen and for PostgreSQL: one short line without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_LENGTH]).strip()

"""What a learner reads about a job, and the progress that goes with it. The first block is the public contract's."""

STORED, STORED_PROGRESS = "S3 업로드", 40
DISPATCHED, DISPATCHED_PROGRESS = "분석 서버 호출", 70
RUNNING, ALMOST_DONE_PROGRESS = "분석 중…", 99
COMPLETED = "분석 완료"
UPLOADED = "업로드 완료, 분석 시작"

GAVE_UP = "분석 서버에 문제가 생겨 분석하지 못했습니다. 잠시 후 다시 녹음해 주세요."
TOO_LATE = "분석이 제한 시간 안에 끝나지 않았습니다. 잠시 후 다시 녹음해 주세요."
CANCELLED = "분석이 취소되었습니다."

MAX_LENGTH = 300  # characters of a text that an analysis server sends for the learner


def progress_while_running(percent: int) -> int:
    """An analysis server's own 0..100 as 70..99 of the whole job."""
    within = min(max(percent, 0), 100)
    return DISPATCHED_PROGRESS + within * (ALMOST_DONE_PROGRESS - DISPATCHED_PROGRESS) // 100


def step(name: str) -> str:
    """What is shown while the analysis is at the step that its server calls `name`."""
    return f"{RUNNING} {cleaned(name)}".rstrip()


def cleaned(text: str) -> str:
    """`text` from an analysis server, fit for a screen and for PostgreSQL: one short line without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_LENGTH]).strip()

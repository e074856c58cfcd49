"""What people read about the archive of their data, and in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from libs.common.errors import YouSyncError
from libs.common.web.language import Language
from services.audio.export_errors import ExportFailed

README = """\
YouSync

이 파일에는 YouSync가 회원님에 대해 보관하는 데이터가 들어 있습니다.

  profile.json, sessions.json ..  계정, 로그인한 기기
  bookmarks.json                  북마크
  video-requests.json             영상 요청
  takes.json                      녹음: 대사, 시각, 분석과 그 결과, 파일 이름
  recordings/                     올린 그대로의 녹음 파일
  dubbings.json, dubbings/        합성한 더빙

모든 시각은 UTC입니다. takes.json에서 file이 null인 녹음은 파일이 들어 있지 않습니다.
no_file_because가 not_stored이면 더 이상 저장되어 있지 않은 녹음이고,
archive_full이면 이 파일의 크기 제한 때문에 빠진 오래된 녹음입니다.
빠진 녹음은 서비스에서 장면별로 들을 수 있습니다.

----

This archive holds the data that YouSync keeps of you.

  profile.json, sessions.json ..  your account, where you are signed in
  bookmarks.json                  your bookmarks
  video-requests.json             videos that you asked for
  takes.json                      your recordings: line, time, analyses and their results, name of the file
  recordings/                     the recordings as you uploaded them
  dubbings.json, dubbings/        your dubbings

All times are UTC. Of a recording whose file is null in takes.json the file is not in here. no_file_because says why:
not_stored, it is no longer kept; archive_full, it is among the oldest, and this archive has a limit. Those can be heard
in the service, scene by scene.
"""

_PREPARING = {
    Language.KOREAN: "데이터를 모으고 있습니다. 잠시 후 다시 확인해 주세요.",
    Language.ENGLISH: "Your data is being collected. Please look again in a moment.",
}
_READY = {
    Language.KOREAN: "데이터를 내려받을 수 있습니다.",
    Language.ENGLISH: "Your data can be downloaded.",
}
_FAILED = "Your data could not be collected. Please try again in a moment."


def preparing(language: Language) -> str:
    """It is not ready."""
    return _PREPARING[language]


def ready(language: Language) -> str:
    """It is."""
    return _READY[language]


@contextmanager
def errors_in(language: Language) -> Iterator[None]:
    """Errors of the archive say what they have to say in this language."""
    try:
        yield
    except YouSyncError as error:
        if language is Language.ENGLISH and error.code == ExportFailed.code:
            error.detail = _FAILED
        raise

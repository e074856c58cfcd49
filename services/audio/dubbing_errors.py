"""Everything that is expected to go wrong with dubbings.

    YouSyncError
    ├── NoTakes                   the learner has recorded nothing of the scene
    ├── NoDubbing                 the learner has had nothing mixed of it
    ├── SceneNotMixable           it has no length, or one that is not mixed
    ├── TakeUnusable              a recording cannot be decoded, or is no longer stored
    ├── TooManyDubbings           of one learner at once
    └── Unavailable
        ├── DubbingNotReady       it is still being mixed
        ├── DubbingFailed         nobody could mix it; asked again it is tried again
        ├── MixingTimedOut        a mixing process took too long and was ended
        └── MixingCrashed         a mixing process died, or answered nonsense

Their texts are Korean here, and in both languages in `texts`.
"""

from libs.common.errors import Kind, Unavailable, YouSyncError


class NoTakes(YouSyncError):
    """The learner has recorded nothing of the scene."""

    kind = Kind.NOT_FOUND
    code = "no_takes"

    def __init__(self) -> None:
        super().__init__("이 영상에 녹음한 음성이 없습니다. 먼저 녹음해 주세요.")


class NoDubbing(YouSyncError):
    """The learner has had nothing mixed of the scene."""

    kind = Kind.NOT_FOUND
    code = "no_dubbing"

    def __init__(self) -> None:
        super().__init__("해당 토큰에 대한 더빙 기록을 찾을 수 없습니다.")


class SceneNotMixable(YouSyncError):
    """It ends before it begins, or is longer than what is mixed."""

    kind = Kind.CONFLICT
    code = "scene_not_mixable"

    def __init__(self) -> None:
        super().__init__("영상의 길이가 올바르지 않거나 너무 길어서 합성할 수 없습니다.")


class TakeUnusable(YouSyncError):
    """A recording cannot be decoded or is no longer stored; which one is told by its line, None for one of the whole scene."""

    kind = Kind.CONFLICT
    code = "take_unusable"

    def __init__(self, script_id: int | None) -> None:
        super().__init__("녹음 파일 하나를 읽을 수 없습니다. 해당 대사를 다시 녹음해 주세요.")
        self.members = {"script_id": script_id}


class TooManyDubbings(YouSyncError):
    """Of one learner at once."""

    kind = Kind.LIMITED
    code = "too_many_dubbings"

    def __init__(self) -> None:
        super().__init__("합성 중인 더빙이 너무 많습니다. 잠시 후 다시 시도해 주세요.")


class DubbingNotReady(Unavailable):
    """It is still being mixed: asked again, it is there or goes on."""

    code = "dubbing_not_ready"

    def __init__(self) -> None:
        super().__init__("더빙을 합성하고 있습니다. 잠시 후 다시 시도해 주세요.")


class DubbingFailed(Unavailable):
    """Nobody could mix it. Asked again, it is tried again."""

    code = "dubbing_failed"

    def __init__(self) -> None:
        super().__init__("더빙을 합성하지 못했습니다. 잠시 후 다시 시도해 주세요.")


class MixingTimedOut(Unavailable):
    """A mixing process took too long and was ended."""

    code = "mixing_timed_out"


class MixingCrashed(Unavailable):
    """A mixing process died, or said something that is no answer."""

    code = "mixing_crashed"

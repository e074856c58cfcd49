"""Everything that is expected to go wrong with archives of somebody's data.

Unavailable
├── ExportFailed    it could not be made; asked again, it is tried again
├── OwnerSilent     a service that owns a part of it does not answer
└── ExportLost      whoever makes it has lost the right to: it was erased, or another replica has it
"""

from libs.common.errors import Unavailable


class ExportFailed(Unavailable):
    """It could not be made. Asked again, it is tried again."""

    code = "export_failed"

    def __init__(self) -> None:
        super().__init__("데이터를 모으지 못했습니다. 잠시 후 다시 시도해 주세요.")


class OwnerSilent(Unavailable):
    """A service that owns a part of it does not answer, or not as was agreed."""

    code = "owner_silent"


class ExportLost(Unavailable):
    """It was erased, or another replica has it since this one was not heard of."""

    code = "export_lost"

"""What can go wrong in auth, by name.

YouSyncError
├── Unauthenticated
│   ├── UnknownUser       the token's account does not exist (any more)
│   └── Deactivated       it exists and was switched off
└── AccountConflict       an imported account clashes with one that is there
"""

from libs.common.errors import Kind, Unauthenticated, YouSyncError


class UnknownUser(Unauthenticated):
    """No account has the id that the token names."""

    code = "unknown_user"

    def __init__(self) -> None:
        super().__init__("사용자를 찾을 수 없습니다")


class Deactivated(Unauthenticated):
    """The account was switched off: it gets no answers and no new tokens."""

    code = "deactivated"

    def __init__(self) -> None:
        super().__init__("비활성화된 계정입니다")


class AccountConflict(YouSyncError):
    """An account of the document cannot be written; `detail` names the entry."""

    kind = Kind.UNPROCESSABLE
    code = "account_conflict"

"""The end of sessions, told to whoever checks tokens."""

from datetime import UTC, datetime, timedelta

from libs.common.contracts.auth import SessionRevoked
from libs.common.db import Transaction
from services.auth import revoked_repository, session_repository

LOGOUT, ENDED, REPLAYED, LINKED = "logout", "ended", "replayed", "linked"
DEACTIVATED, DEMOTED, DELETED, REPLACED = "deactivated", "demoted", "deleted", "replaced"


async def end_sessions(
    tx: Transaction, user_id: int, reason: str, *, outlive_seconds: int, session_id: str | None = None
) -> bool:
    """End one session of this person, or all; whether any went on until now.

    No token that there is now is accepted anywhere after `outlive_seconds`.
    """
    ended = await session_repository.end(tx.connection, user_id=user_id, reason=reason, session_id=session_id)
    tokens_until = datetime.now(UTC) + timedelta(seconds=outlive_seconds)
    await revoked_repository.add(tx.connection, [session.id for session in ended], tokens_until)
    for session in ended:
        tx.publish(
            SessionRevoked(session_id=session.id, user_id=user_id, reason=reason, tokens_until=tokens_until),
            subject=f"session:{session.id}",
        )
    return bool(ended)

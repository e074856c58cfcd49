"""What `auth` tells the others: the life of an account."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from libs.common.contracts.base import Event


class UserRegistered(Event, name="user.registered", must_route=False):
    """A person signed in for the first time. Nobody has to act on it yet, so it may go unrouted."""

    user_id: int
    email: str
    full_name: str | None = None


class SessionRevoked(Event, name="session.revoked", must_route=False):
    """A session ended before its time: no access token whose `sid` it is counts any more.

    Every gateway that runs hears it; where none does, there is nobody who would let such a token in.
    """

    session_id: str
    user_id: int
    # logout, ended (by its owner), replayed (a token or code was used twice), replaced (by a new sign-in in its place), linked
    # (the account has a proven owner now), deactivated (the account), demoted (its owner is no administrator any more), deleted
    # (with the account)
    reason: str
    tokens_until: datetime  # UTC; no token of it is valid after this, so whoever remembers the session may forget it then


class UserDeleted(Event, name="user.deleted"):
    """An account is gone, and its number belongs to nobody any more: whoever keeps anything of that person erases it.

    Access tokens of theirs may still be valid where this is heard, for minutes. So whoever hears it remembers the number and
    refuses to write for it.
    """

    user_id: int
    deleted_at: datetime  # UTC


class RevokedSession(BaseModel):
    """A session that ended before its time, as `session.revoked` said it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: str
    tokens_until: datetime  # UTC


class RevokedSessions(BaseModel):
    """What `auth` answers to whoever may have missed some of those events: those of which tokens may still be valid."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sessions: tuple[RevokedSession, ...]
    more_after: str | None = None  # the session id behind which the next page begins; None when there is no more

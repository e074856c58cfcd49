"""What `auth` tells the others: the life of an account."""

from datetime import datetime

from libs.common.contracts.base import Event


class UserRegistered(Event, name="user.registered", must_route=False):
    """A person signed in for the first time. Nobody has to act on it yet, so it may go unrouted."""

    user_id: int
    email: str
    full_name: str | None = None


class SessionRevoked(Event, name="session.revoked", must_route=False):
    """A session ended before its time: no access token whose `sid` it is counts any more. Nobody has to act on it yet."""

    session_id: str
    user_id: int
    reason: str  # logout, ended (by its owner), replayed (a token was used twice), linked (the account has a proven owner now)
    tokens_until: datetime  # UTC; no token of it is valid after this, so whoever remembers the session may forget it then

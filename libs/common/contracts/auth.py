"""What `auth` tells the others: the life of an account."""

from libs.common.contracts.base import Event


class UserRegistered(Event, name="user.registered", must_route=False):
    """A person signed in for the first time. Nobody has to act on it yet, so it may go unrouted."""

    user_id: int
    email: str
    full_name: str | None = None

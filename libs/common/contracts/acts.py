"""What whoever does something that matters to security tells `auth`, which keeps the log of it."""

from datetime import datetime

from libs.common.contracts.base import Event


class ActPerformed(Event, name="act.performed"):
    """Somebody did something that the audit log keeps. Not sent by `auth`, which writes its own acts there itself."""

    act: str  # of libs.common.acts.Act; text, so that an older reader keeps acts that it does not know
    at: datetime  # UTC
    user_id: int | None = None  # who did it; None: nobody that is known, or an operator
    account_id: int | None = None  # whose account it was done to, where that is not who did it
    thing: str | None = None  # what it was done to: token:7, session:0b5e..
    reason: str | None = None  # a code, or what an administrator gave as one
    session_id: str | None = None  # of who did it
    network: str | None = None  # address without its last part: 203.0.113.0/24, 2001:db8:1::/48
    device: str | None = None  # what the browser called itself
    request_id: str | None = None  # as in logs and X-Request-ID

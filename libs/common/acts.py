"""What the audit log keeps: who did what to whom, from where. `auth` owns the log; see docs/decisions/0025.

A service that does something of this list tells it (`tell`) in the transaction of the act. Words that a person typed,
tokens and whole addresses never belong in it.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from libs.common.contracts.acts import ActPerformed
from libs.common.telemetry import current

if TYPE_CHECKING:  # the gateway, which has no database and none of its libraries, knows places too
    from libs.common.db import Transaction

MAX_TEXT = 200  # characters of what a browser calls itself, of a reason


class Act(StrEnum):
    """The acts that matter to security. A closed list: who looks for one must know what it is called."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SESSION_MOVED = "session_moved"  # continued by another device or from another network than before
    REPLAY_NOTICED = "replay_noticed"  # a token came twice: its session ended
    LOGGED_OUT = "logged_out"
    SESSION_ENDED = "session_ended"  # one, by its owner from another one
    SESSIONS_ENDED = "sessions_ended"  # all of an account
    ACCOUNT_CREATED = "account_created"
    ACCOUNT_LINKED = "account_linked"  # the provider's identity took over the account with its address
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_DEACTIVATED = "account_deactivated"
    ACCOUNT_ACTIVATED = "account_activated"
    ACCOUNTS_SEARCHED = "accounts_searched"  # addresses of people were shown to an administrator
    ADMIN_GRANTED = "admin_granted"
    ADMIN_REVOKED = "admin_revoked"
    KEYS_ROTATED = "keys_rotated"
    EXPORT_REQUESTED = "export_requested"
    ACTOR_CREATED = "actor_created"
    SCENE_CREATED = "scene_created"
    SCENE_UPDATED = "scene_updated"
    SCENE_DELETED = "scene_deleted"
    LINE_CREATED = "line_created"
    LINE_UPDATED = "line_updated"
    LINE_DELETED = "line_deleted"
    CATALOGUE_IMPORTED = "catalogue_imported"
    VIDEO_REQUEST_REVIEWED = "video_request_reviewed"
    FILM_REQUESTED = "film_requested"
    ANONYMOUS_ERASED = "anonymous_erased"  # recordings of nobody, asked for by an administrator
    JOB_CANCELLED = "job_cancelled"  # somebody else's
    JOB_RETRIED = "job_retried"  # somebody else's


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is done from: what the browser calls itself, and the address without its last part."""

    device: str | None = None
    network: str | None = None

    @classmethod
    def of(cls, user_agent: str, address: str) -> "Place":
        """Of what a request says; what is no text or no address is left out."""
        device = "".join(filter(str.isprintable, user_agent))[:MAX_TEXT].strip()
        return cls(device or None, _coarse(address.strip()))


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Origin:
    """Who does something, and from where: by default nobody knows."""

    place: Place = NOWHERE
    user_id: int | None = None
    session_id: str | None = None


def performed(
    act: Act, origin: Origin, *, account_id: int | None = None, thing: str | None = None, reason: str | None = None
) -> ActPerformed:
    """`act` as it happens now, in the surrounding request.

    `account_id` is whose account it is done to, where that is not who does it; `thing` is `<kind>:<id>`, such as `token:7`;
    `reason` is a code, or what an administrator gives as one.
    """
    return ActPerformed(
        act=act,
        at=datetime.now(UTC),
        user_id=origin.user_id,
        account_id=account_id,
        thing=thing,
        reason=reason,
        session_id=origin.session_id or None,
        network=origin.place.network,
        device=origin.place.device,
        request_id=current("request_id"),
    )


def tell(
    tx: "Transaction", act: Act, origin: Origin, *, thing: str, account_id: int | None = None, reason: str | None = None
) -> None:
    """Let `auth` write `act` into the log if and only if this transaction commits; see `performed`."""
    tx.publish(performed(act, origin, account_id=account_id, thing=thing, reason=reason), subject=thing)


def _coarse(address: str) -> str | None:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))

"""The broker's users as they should be, as they are, and made so; and the same as RabbitMQ's definitions.

A user is let in when it has permissions, and those come last, after the topology and after what restricts its topics: who is
let in finds all there is to find, and could never do more than it may.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from libs.common.bus.rabbit import layout
from yousync.topology.compare import Difference, Kind
from yousync.topology.management import Management
from yousync.topology.rights import NOTHING, USERS, all_rights, permission, topic_permissions

OPERATOR: Final = "yousync"
"""The user of `yousync topology`, `dlq`, `trace` and `audit`, and the broker's first: it may everything."""
ALL: Final = {"configure": ".*", "write": ".*", "read": ".*"}
Definitions = dict[str, list[dict[str, Any]]]


def password_variable(user: str) -> str:
    """The variable that a user's password is in."""
    return f"{user.upper()}_BROKER_PASSWORD"


def topology_definitions(ladder: Sequence[float], virtual_host: str) -> Definitions:
    """Exchanges, queues and bindings, as RabbitMQ imports them."""
    whole = layout.whole(ladder)
    lasting = {"vhost": virtual_host, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": name, "type": kind, "internal": False, "arguments": {}, **lasting}
            for name, kind in whole.exchanges.items()
        ],
        "queues": [{"name": name, "arguments": dict(arguments), **lasting} for name, arguments in whole.queues.items()],
        "bindings": [
            {
                "source": each.exchange,
                "vhost": virtual_host,
                "destination": each.queue,
                "destination_type": "queue",
                "routing_key": each.routing_key,
                "arguments": {},
            }
            for each in whole.bindings
        ],
    }


def user_definitions(
    passwords: Mapping[str, str], ladder: Sequence[float], virtual_host: str
) -> tuple[Definitions, Definitions]:
    """Those of `passwords` with what restricts their topics; then, to be imported after that, what lets them in."""
    rights = {user: each for user, each in all_rights(ladder).items() if user in passwords}
    host = {"vhost": virtual_host}
    users = [
        {"name": user, "password": password, "tags": "administrator" if user == OPERATOR else ""}
        for user, password in passwords.items()
    ]
    topics = [
        {"user": user, "exchange": name, **host, **may}
        for user, each in rights.items()
        for name, may in topic_permissions(each).items()
    ]
    permissions = [{"user": user, **host, **permission(each)} for user, each in rights.items()]
    if OPERATOR in passwords:
        permissions.append({"user": OPERATOR, **host, **ALL})
    return {"users": users, "topic_permissions": topics}, {"permissions": permissions}


async def compare_users(
    management: Management, passwords: Mapping[str, str], ladder: Sequence[float], virtual_host: str
) -> list[Difference]:
    """How the users differ from what they should be. Raises `NoManagement`."""
    restricted, let_in = user_definitions(passwords, ladder, virtual_host)
    users = {each["name"]: each for each in await management.read("users")}
    permissions = {each["user"]: each for each in await management.read("permissions") if each["vhost"] == virtual_host}
    topics = {
        (each["user"], each["exchange"]): each
        for each in await management.read("topic-permissions")
        if each["vhost"] == virtual_host
    }
    found: list[Difference] = []
    for user in passwords:
        if user not in users:
            found.append(Difference(Kind.MISSING, "user", user))
            continue
        problems = [] if _has_password(users[user], passwords[user]) else ["its password is another"]
        if tags := ", ".join(_tags(users[user])):
            problems.append(f"it has the tags {tags}")
        for wanted in (each for each in let_in["permissions"] if each["user"] == user):
            problems += _differing(wanted, permissions.get(user, {}), ("configure", "write", "read"), "")
        for wanted in (each for each in restricted["topic_permissions"] if each["user"] == user):
            has = topics.pop((user, wanted["exchange"]), {})
            problems += _differing(wanted, has, ("write", "read"), f" of {wanted['exchange']}")
        for (_, exchange), has in ((key, has) for key, has in topics.items() if key[0] == user):
            if (has["write"], has["read"]) != (NOTHING, NOTHING):
                problems.append(f"it has topics of {exchange}")
        found += [Difference(Kind.STALE, "user", user, problem) for problem in problems]
    for user in sorted(permissions.keys() - passwords.keys() - {management.user}):
        what = "a service's, and its password is not given" if user in USERS else "it may be here"
        found.append(Difference(Kind.UNKNOWN, "user", user, what))
    return found


async def make_users(
    management: Management,
    differences: Sequence[Difference],
    passwords: Mapping[str, str],
    ladder: Sequence[float],
    virtual_host: str,
) -> None:
    """Make those of `differences` as they should be: what restricts first, what lets in last. Raises `NoManagement`."""
    wanted = {each.name: passwords[each.name] for each in differences if each.thing == "user" and each.name in passwords}
    if not wanted:
        return
    restricted, let_in = user_definitions(wanted, ladder, virtual_host)
    known = {(each["user"], each["exchange"]) for each in restricted["topic_permissions"]}
    nothing = {"vhost": virtual_host, "write": NOTHING, "read": NOTHING}
    # What is too much is set to nothing, not deleted: where nothing is said about a topic, it is open.
    restricted["topic_permissions"] += [
        {"user": each["user"], "exchange": each["exchange"], **nothing}
        for each in await management.read("topic-permissions")
        if each["vhost"] == virtual_host and each["user"] in wanted and (each["user"], each["exchange"]) not in known
    ]
    await management.define(restricted)
    await management.define(let_in)


def _differing(wanted: Mapping[str, Any], has: Mapping[str, Any], names: Sequence[str], of: str) -> list[str]:
    return [
        f"it may {name}{of} {has[name]!r}, declared {wanted[name]!r}" if name in has else f"it has no right to {name}{of}"
        for name in names
        if has.get(name) != wanted[name]
    ]


def _tags(user: Mapping[str, Any]) -> list[str]:
    tags = user.get("tags") or []
    return tags.split(",") if isinstance(tags, str) else list(tags)


def _has_password(user: Mapping[str, Any], password: str) -> bool:
    """By the broker's hash: 4 bytes of salt, then SHA-256 of salt and password."""
    if user.get("hashing_algorithm") != "rabbit_password_hashing_sha256":
        return False
    kept = base64.b64decode(user.get("password_hash") or "")
    return hmac.compare_digest(kept[4:], hashlib.sha256(kept[:4] + password.encode()).digest())

"""Which user of the broker may do what: as much as its service needs, out of the contracts and the topology.

RabbitMQ asks `configure` of who makes or deletes a queue or an exchange, `write` of the exchange that is published to and of
the queue that is bound, `read` of the queue that is consumed, looked at or emptied and of the exchange that is bound to. For
topic exchanges it also asks which routing keys may be published with, and bound. Nobody but the operator may configure what
lasts, or write to the default exchange, behind which every queue is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from libs.common.bus.rabbit import layout
from libs.common.bus.topology import (
    DEAD_EXCHANGE,
    EVENTS_EXCHANGE,
    FRAMES_EXCHANGE,
    HEARD_BY_ALL,
    LEASES_EXCHANGE,
    QUEUES,
    ear_prefix,
    retry_queue,
    seen_by,
)
from yousync.contracts.schemas import FRAMES, LEASES, events, routing_keys, senders

# Users and what they are: a service, or one that sends what that service sends.
USERS: Mapping[str, str] = {
    "gateway": "gateway",
    "auth": "auth",
    "catalog": "catalog",
    "audio": "audio",
    "notifier": "notifier",
    "analysis": "analysis",
    "preprocessor": "analysis",
}
NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Topics:
    """The routing keys of one topic exchange that may be published with, and the patterns that may be bound."""

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """Of one user, by names of queues and exchanges; one that ends with a dot stands for all that begin so."""

    configure: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    topics: Mapping[str, Topics] = field(default_factory=dict)


def all_rights(ladder: Sequence[float]) -> dict[str, Rights]:
    """By user, with a rung for each delay (seconds) of `ladder`."""
    return {user: _rights(user, service, [retry_queue(delay) for delay in ladder]) for user, service in USERS.items()}


def _rights(user: str, service: str, rungs: Sequence[str]) -> Rights:
    sent = tuple(key for event in events().values() if service in senders(event) for key in routing_keys(event))
    read = [queue for queue in QUEUES if queue.user == user]
    heard = HEARD_BY_ALL.get(user, ())
    tells = {_exchange(name) for name, (_, tellers, _) in FRAMES.items() if service in tellers}
    hears = {_exchange(name) for name, (_, _, readers) in FRAMES.items() if service in readers}
    ears = (ear_prefix(user),) if hears or heard else ()
    topics: dict[str, Topics] = {}
    if sent or heard:
        topics[EVENTS_EXCHANGE] = Topics(sent, heard)
    if read:
        # To where its own messages come back from alone, and to its own dead.
        topics |= {rung: Topics(tuple(queue.name for queue in read)) for rung in rungs}
        topics[DEAD_EXCHANGE] = Topics(tuple(dict.fromkeys(queue.dead_letter_queue for queue in read)))
    return Rights(
        configure=ears,
        write=(*(name for name, topic in topics.items() if topic.write), *sorted(tells), *ears),
        read=(*seen_by(user), *sorted(hears), *([EVENTS_EXCHANGE] if heard else []), *ears),
        topics=topics,
    )


def _exchange(frame: str) -> str:
    return LEASES_EXCHANGE if frame in LEASES else FRAMES_EXCHANGE


def pattern(names: Iterable[str]) -> str:
    """The regular expression (PCRE, as RabbitMQ takes it) that matches these names and no other."""
    each = [re.escape(name) + ("[0-9a-f]+" if name.endswith(".") else "") for name in names]
    return f"^({'|'.join(each)})$" if each else NOTHING


def permission(rights: Rights) -> dict[str, str]:
    """As the broker has them, without the topics."""
    return {"configure": pattern(rights.configure), "write": pattern(rights.write), "read": pattern(rights.read)}


def topic_permissions(rights: Rights) -> dict[str, dict[str, str]]:
    """As the broker has them, by exchange."""
    return {name: {"write": pattern(each.write), "read": pattern(each.read)} for name, each in rights.topics.items()}


def table(ladder: Sequence[float]) -> str:
    """All rights for people, as a table in Markdown."""
    exchanges = layout.whole(ladder).exchanges
    rungs = [retry_queue(delay) for delay in ladder]
    lines = ["| user | makes | publishes facts | frames | puts aside, to come again or for good | reads | hears |"]
    lines.append("|---" * 7 + "|")
    for user, rights in all_rights(ladder).items():
        topics = rights.topics
        aside = dict.fromkeys(key for rung in (*rungs, DEAD_EXCHANGE) for key in topics.get(rung, Topics()).write)
        bound = [key for name in rights.read if name in exchanges for key in topics.get(name, Topics(read=(name,))).read]
        columns = (
            _listed(rights.configure),
            _listed(topics.get(EVENTS_EXCHANGE, Topics()).write),
            _listed(name for name in rights.write if name in exchanges and name not in topics),
            _listed(aside),
            _listed(name for name in rights.read if name not in exchanges and name not in rights.configure),
            _listed(bound),
        )
        lines.append(f"| `{user}` | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}*`" if name.endswith(".") else f"`{name}`" for name in names)

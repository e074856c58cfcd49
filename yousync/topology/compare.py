"""What a broker has, and where that is not what the code declares."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from libs.common.bus.rabbit.layout import Binding, Layout
from yousync.environment import SERVICES

# Names that are ours to give, whether anything is declared by them or not.
OUR_PREFIXES = ("yousync.", *(f"{service}." for service in SERVICES))
OUR_SUFFIX = ".dead"
# What a policy may say of our queues without changing what becomes of messages; all else is told.
HARMLESS_POLICIES = frozenset({"queue-leader-locator", "queue-master-locator", "target-group-size"})


@dataclass(frozen=True, slots=True)
class FoundExchange:
    """An exchange of the broker."""

    kind: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] | None = None
    policy: str = ""  # the name of the one that rules it


@dataclass(frozen=True, slots=True)
class FoundQueue:
    """A queue of the broker."""

    arguments: Mapping[str, Any]
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    policy: Mapping[str, Any] | None = None  # what policies say of it, as far as the broker has told


@dataclass(frozen=True, slots=True)
class Found:
    """What a virtual host has. `others` are bindings of our exchanges to exchanges."""

    exchanges: Mapping[str, FoundExchange]
    queues: Mapping[str, FoundQueue]
    bindings: frozenset[Binding]
    others: Sequence[str] = ()


class Kind(StrEnum):
    """What a difference is."""

    MISSING = "missing"  # declared, and not there: `apply` makes it
    DIFFERS = "differs"  # there, and otherwise than declared
    STALE = "stale"  # a user that is otherwise than declared: `apply` mends it, too
    RULED = "ruled"  # there, and a policy of the broker says more about it than we declare
    UNKNOWN = "unknown"  # there, by a name or at a place that is ours, and not declared


MENDED = (Kind.MISSING, Kind.STALE)
"""What `apply` does something about."""
SIGNS = {Kind.MISSING: "+", Kind.DIFFERS: "~", Kind.STALE: "*", Kind.RULED: "!", Kind.UNKNOWN: "-"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; `name` is the queue's, the exchange's or the user's."""

    kind: Kind
    thing: str  # exchange | queue | binding | user
    name: str
    detail: str = ""
    binding: Binding | None = None

    def __str__(self) -> str:
        what = self.name if self.binding is None else f"{self.binding.exchange} -> {self.name} by {self.binding.routing_key!r}"
        return f"{SIGNS[self.kind]} {self.thing} {what}{': ' if self.detail else ''}{self.detail}"

    def as_json(self) -> dict[str, str]:
        """For programs."""
        told = {"kind": self.kind.value, "thing": self.thing, "name": self.name, "detail": self.detail}
        if self.binding is not None:
            told |= {"exchange": self.binding.exchange, "routing_key": self.binding.routing_key}
        return told


def is_ours(name: str) -> bool:
    """Whether a queue or an exchange is called as only ours are."""
    return name.startswith(OUR_PREFIXES) or name.endswith(OUR_SUFFIX)


def compare(wanted: Layout, found: Found) -> list[Difference]:
    """All differences, in the order in which they would be mended."""
    return [*_exchanges(wanted, found), *_queues(wanted, found), *_bindings(wanted, found)]


def _exchanges(wanted: Layout, found: Found) -> Iterator[Difference]:
    for name, kind in wanted.exchanges.items():
        exchange = found.exchanges.get(name)
        if exchange is None:
            yield Difference(Kind.MISSING, "exchange", name, kind)
            continue
        for problem in _of_exchange(kind, exchange):
            yield Difference(Kind.DIFFERS, "exchange", name, problem)
        if exchange.policy:
            yield Difference(Kind.RULED, "exchange", name, f"by the policy {exchange.policy!r}")
    for name in sorted(found.exchanges.keys() - wanted.exchanges.keys()):
        if is_ours(name):
            yield Difference(Kind.UNKNOWN, "exchange", name)


def _of_exchange(kind: str, found: FoundExchange) -> Iterator[str]:
    if found.kind != kind:
        yield f"its type is {found.kind}, declared {kind}"
    yield from _lasting(found.durable, found.auto_delete)
    if found.internal:
        yield "it is internal: nobody can publish to it"
    yield from (f"{name} is {value!r}, not declared" for name, value in sorted((found.arguments or {}).items()))


def _queues(wanted: Layout, found: Found) -> Iterator[Difference]:
    for name, arguments in wanted.queues.items():
        queue = found.queues.get(name)
        if queue is None:
            yield Difference(Kind.MISSING, "queue", name, str(arguments["x-queue-type"]))
            continue
        for problem in _of_queue(arguments, queue):
            yield Difference(Kind.DIFFERS, "queue", name, problem)
        for key, value in sorted((queue.policy or {}).items()):
            if key not in HARMLESS_POLICIES:
                yield Difference(Kind.RULED, "queue", name, f"a policy says {key}={value!r}")
    for name, queue in sorted(found.queues.items()):
        if name not in wanted.queues and is_ours(name) and not queue.exclusive:
            yield Difference(Kind.UNKNOWN, "queue", name)


def _of_queue(arguments: Mapping[str, Any], found: FoundQueue) -> Iterator[str]:
    yield from _lasting(found.durable, found.auto_delete)
    if found.exclusive:
        yield "it belongs to one connection"
    for name in sorted(arguments.keys() | found.arguments.keys()):
        there, declared = found.arguments.get(name), arguments.get(name)
        if there != declared:
            yield f"{name} is {_or_not(there, 'not set')}, {_or_not(declared, 'not declared', 'declared ')}"


def _bindings(wanted: Layout, found: Found) -> Iterator[Difference]:
    declared = frozenset(wanted.bindings)
    for binding in wanted.bindings:
        if binding not in found.bindings:
            yield Difference(Kind.MISSING, "binding", binding.queue, binding=binding)
    for binding in sorted(found.bindings - declared):
        queue = found.queues.get(binding.queue)
        if queue is not None and queue.exclusive:
            continue  # a listener's own, of frames or of whatever it wants to hear
        if binding.exchange in wanted.exchanges or binding.queue in wanted.queues:
            whose = "" if is_ours(binding.queue) else "somebody else's queue"
            yield Difference(Kind.UNKNOWN, "binding", binding.queue, whose, binding)
    for other in found.others:
        yield Difference(Kind.UNKNOWN, "binding", other, "to an exchange")


def _lasting(durable: bool, auto_delete: bool) -> Iterable[str]:
    if not durable:
        yield "it does not outlive a restart of the broker"
    if auto_delete:
        yield "it is deleted when its last user leaves"


def _or_not(value: Any, absent: str, prefix: str = "") -> str:
    return absent if value is None else f"{prefix}{value!r}"

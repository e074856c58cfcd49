"""Which dead letters are meant, and what is told about one."""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.bus.base import DeadLetter

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
ERROR_SHOWN = 160  # characters of an error on a line


@dataclass(frozen=True, slots=True)
class Filter:
    """What is empty or None matches everything; what is given has to match all."""

    queue: str = ""  # where it died
    group: str = ""  # as `DeadLetter.group`
    job: str = ""
    since: datetime | None = None  # died at or after
    until: datetime | None = None  # died at or before
    ids: frozenset[str] = frozenset()

    def matches(self, letter: DeadLetter) -> bool:
        """Whether `letter` is meant."""
        return (
            (not self.queue or letter.queue == self.queue)
            and (not self.group or letter.group == self.group)
            and (not self.job or is_of_job(letter, self.job))
            and (self.since is None or letter.died >= self.since)
            and (self.until is None or letter.died <= self.until)
            and (not self.ids or letter.message.id in self.ids)
        )


def is_of_job(letter: DeadLetter, job: str) -> bool:
    """Whether its subject is the job's, or its body names the job."""
    if letter.message.subject == f"job:{job}":
        return True
    body = _json(letter.message.body)
    return isinstance(body, dict) and body.get("job_id") == job


def parse_time(text: str) -> datetime:
    """`2026-11-23T04:05` (UTC unless it says otherwise), or `90s`, `15m`, `2h`, `3d` ago. Raises ValueError."""
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a time like 2026-11-23T04:05 nor an age like 90s, 15m, 2h, 3d") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@dataclass(slots=True)
class Group:
    """Dead letters that one cause seems to have killed."""

    service: str
    queue: str
    name: str
    count: int
    first: datetime  # that one of them failed
    last: datetime  # that one of them died
    error: str  # of the latest

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "service": self.service,
            "queue": self.queue,
            "group": self.name,
            "count": self.count,
            "first_failed": self.first.isoformat(),
            "last_died": self.last.isoformat(),
            "error": self.error,
        }


class Groups:
    """Counts letters by service, queue and group as they come, and keeps none of them."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], Group] = {}

    def add(self, service: str, letter: DeadLetter) -> None:
        """Count one."""
        key = (service, letter.queue, letter.group)
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = Group(*key, 1, letter.first_failed, letter.died, letter.error)
            return
        group.count += 1
        group.first = min(group.first, letter.first_failed)
        if letter.died >= group.last:
            group.last, group.error = letter.died, letter.error

    def largest_first(self) -> list[Group]:
        """All of them."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.service, group.queue, group.name))


def facts(service: str, letter: DeadLetter) -> dict[str, Any]:
    """All of a letter, for programs; `body` is text when it is UTF-8, else `body_base64` is there."""
    message = letter.message
    try:
        body = {"body": message.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(message.body).decode()}
    return {
        "service": service,
        "queue": letter.queue,
        "id": message.id,
        "type": message.type,
        "source": message.source,
        "subject": message.subject,
        "routing_key": message.routing_key,
        "time": message.time.isoformat(),
        "traceparent": message.traceparent,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "group": letter.group,
        "error": letter.error,
        "first_failed": letter.first_failed.isoformat(),
        "died": letter.died.isoformat(),
        **body,
    }


def as_line(letter: DeadLetter) -> str:
    """The letter in one line of a terminal."""
    message = letter.message
    return visible(
        f"{short(letter.died)}  {letter.queue}  {message.type or '-'}  {message.id or '-'}  {message.subject or '-'}  "
        f"attempts {letter.attempts}  {_cut(letter.error)}"
    )


def as_text(service: str, letter: DeadLetter) -> Iterable[str]:
    """All of a letter for a person, line by line."""
    told = facts(service, letter)
    body = told.pop("body", None)
    for name, value in told.items():
        yield f"{name:<13} {visible(str(value))}"
    if body is not None:
        yield "body"
        if (document := _json(body)) is not None:
            body = json.dumps(document, indent=2, ensure_ascii=False)
        yield from (f"  {visible(line)}" for line in body.splitlines())


def short(time: datetime) -> str:
    """A time to the second, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visible(text: str) -> str:
    """`text` with nothing in it that a terminal would obey: whoever sent the message chose it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _cut(error: str) -> str:
    first, _, more = error.partition("\n")
    return f"{first[:ERROR_SHOWN]} ..." if more or len(first) > ERROR_SHOWN else first

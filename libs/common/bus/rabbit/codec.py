"""A message as AMQP properties and headers, and back.

CloudEvents attributes travel in `ce-*` headers (binary content mode), so that workers in any language can read and write
them. What is our own begins with `x-yousync-`: the attempt, when the message first failed, the routing key it was published
with (a retried message comes back through the default exchange, which knows only the queue's name), and a dead letter's why.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import aio_pika
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from libs.common.bus.base import DeadLetter, Message
from libs.common.bus.rabbit.lenient import UNDECODABLE
from libs.common.bus.verdict import ERROR_LENGTH
from libs.common.telemetry import child_traceparent

ATTEMPT = "x-yousync-attempt"
FIRST_FAILED = "x-yousync-first-failed"
DIED = "x-yousync-died"
ROUTING_KEY = "x-yousync-routing-key"
REASON = "x-yousync-reason"
ERROR = "x-yousync-error"
QUEUE = "x-yousync-queue"


# All headers must fit one AMQP frame (128 KiB), also when those of a dead letter are added. Five texts of ours, in UTF-8:
TEXT_LENGTH = 4_096  # characters
KEPT_HEADERS = 65_536  # bytes of what was no message

NOBODY_KNOWS_WHEN = datetime.fromtimestamp(0, UTC)  # a letter that somebody put to the dead ones by hand


class Unreadable(Exception):
    """The headers do not make a message; the text says which one is wrong and how."""


def encode(message: Message, extra: Mapping[str, str] | None = None) -> aio_pika.Message:
    """`message` as it is published, with `extra` headers."""
    headers: FieldTable = {
        "ce-specversion": "1.0",
        "ce-id": message.id,
        "ce-type": message.type,
        "ce-source": message.source,
        "ce-time": message.time.isoformat(),
        ATTEMPT: message.attempt,
    }
    if message.subject:  # CloudEvents knows no empty one
        headers["ce-subject"] = message.subject
    if message.traceparent is not None:
        headers["traceparent"] = message.traceparent
    headers.update(extra or {})
    return aio_pika.Message(
        message.body,
        headers=headers,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.id,
    )


def encode_frame(body: bytes, traceparent: str | None) -> aio_pika.Message:
    """A frame as it is published: the trace that it ends, and no more, for its body says what it is and there are many."""
    return aio_pika.Message(body, headers={"traceparent": child_traceparent(traceparent)}, content_type="application/json")


def decode(delivered: DeliveredMessage) -> Message:
    """The message in a delivery. `ce-id`, `ce-type` and `ce-source` are required; raises `Unreadable`."""
    headers = headers_of(delivered)
    if UNDECODABLE in headers:
        raise Unreadable(str(headers[UNDECODABLE]))
    attempt = headers.get(ATTEMPT, 1)
    if not isinstance(attempt, int) or attempt < 1:
        raise Unreadable(f"header {ATTEMPT} is not a positive number: {attempt!r}")
    return Message(
        type=_text(headers, "ce-type"),
        body=delivered.body,
        source=_text(headers, "ce-source"),
        subject=_text(headers, "ce-subject", ""),
        routing_key=_text(headers, ROUTING_KEY, delivered.routing_key),
        id=_text(headers, "ce-id"),
        time=_time(headers, "ce-time") or datetime.now(UTC),
        traceparent=_text(headers, "traceparent") if "traceparent" in headers else None,
        attempt=attempt,
    )


def first_failed(delivered: DeliveredMessage) -> datetime | None:
    """When a handler first failed on this message; None when none did (or when the header is nonsense)."""
    return _time_if_any(headers_of(delivered), FIRST_FAILED)


def after_failure(message: Message, first_failed: datetime) -> aio_pika.Message:
    """What goes to the retry ladder; `message` is the next attempt."""
    return encode(message, {FIRST_FAILED: first_failed.isoformat(), ROUTING_KEY: message.routing_key})


def dead(letter: DeadLetter) -> aio_pika.Message:
    """What goes to the dead letters."""
    message = letter.message
    return encode(
        message, {**_why(letter.reason, letter.error, letter.queue, letter.first_failed), ROUTING_KEY: message.routing_key}
    )


def dead_unreadable(delivered: DeliveredMessage, queue: str, error: str) -> aio_pika.Message:
    """What goes to the dead letters though it never was a message: what can be kept of it, and why it could not be read."""
    why = _why("unreadable", error, queue, datetime.now(UTC))
    return _as_it_was(delivered, {**why, ROUTING_KEY: delivered.routing_key or ""})


def redriven(delivered: DeliveredMessage) -> aio_pika.Message:
    """What goes back to the queue where the dead letter died: without the marks of its death."""
    try:
        message = decode(delivered)
    except Unreadable:
        return _as_it_was(delivered, {ATTEMPT: 1, ROUTING_KEY: str(headers_of(delivered).get(ROUTING_KEY, ""))})
    return encode(replace(message, attempt=1), {ROUTING_KEY: message.routing_key})


def decode_dead(delivered: DeliveredMessage, queue: str) -> DeadLetter:
    """A dead letter as it lies in the dead-letter queue `queue`, with blanks for what it lacks."""
    headers = headers_of(delivered)
    try:
        message = decode(delivered)
    except Unreadable:
        message = Message(
            type=str(headers.get("ce-type", "")),
            body=delivered.body,
            source=str(headers.get("ce-source", "")),
            subject=str(headers.get("ce-subject", "")),
            routing_key=str(headers.get(ROUTING_KEY, "")),
            id=str(headers.get("ce-id", "")),
        )
    since = first_failed(delivered) or _time_if_any(headers, "ce-time") or NOBODY_KNOWS_WHEN
    if REASON not in headers and (death := _last_death(headers)):
        # The broker's own guard (`x-delivery-limit`) put it here: consumers died while they held it.
        time = death.get("time")
        return DeadLetter(
            message,
            queue=str(death.get("queue", queue)),
            reason="exhausted",
            error=f"given up by the broker: {death.get('reason')!s}",
            first_failed=since,
            died=max(since, time) if isinstance(time, datetime) else since,  # it tells whole seconds
        )
    return DeadLetter(
        message,
        queue=str(headers.get(QUEUE, queue)),
        reason=str(headers.get(REASON, "unreadable")),
        error=str(headers.get(ERROR, "")),
        first_failed=since,
        died=_time_if_any(headers, DIED) or since,
    )


def _why(reason: str, error: str, queue: str, since: datetime) -> dict[str, str]:
    return {
        REASON: reason,
        ERROR: error[:ERROR_LENGTH],
        QUEUE: queue,
        FIRST_FAILED: since.isoformat(),
        DIED: datetime.now(UTC).isoformat(),
    }


def _as_it_was(delivered: DeliveredMessage, marks: Mapping[str, str | int]) -> aio_pika.Message:
    """What a producer sent, as far as it can be sent on, with `marks` of ours in the place of those that it has."""
    headers: FieldTable = {}
    room = KEPT_HEADERS
    for name, value in headers_of(delivered).items():
        if isinstance(value, str | int | bool) and not name.startswith("x-"):
            room -= len(f"{name}{value}".encode())
            if room >= 0:
                headers[name] = value
    return aio_pika.Message(
        delivered.body,
        headers={**headers, **marks},
        content_type=delivered.header.properties.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def _last_death(headers: FieldTable) -> FieldTable:
    """RabbitMQ's word on why the message lies here; the latest comes first. Rungs of the ladder leave such words, too."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def headers_of(delivered: DeliveredMessage) -> FieldTable:
    """The headers, none when the producer sent none."""
    return delivered.header.properties.headers or {}


def _text(headers: FieldTable, name: str, default: str | None = None) -> str:
    value = headers.get(name, default)
    if value is None:
        raise Unreadable(f"header {name} is missing")
    if not isinstance(value, str):
        raise Unreadable(f"header {name} is not a text: {value!r}")
    if len(value) > TEXT_LENGTH:
        raise Unreadable(f"header {name} has more than {TEXT_LENGTH} characters")
    return value


def _time(headers: FieldTable, name: str) -> datetime | None:
    if name not in headers:
        return None
    try:
        time = datetime.fromisoformat(_text(headers, name))
    except ValueError as error:
        raise Unreadable(f"header {name} is not an ISO 8601 time: {headers[name]!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _time_if_any(headers: FieldTable, name: str) -> datetime | None:
    try:
        return _time(headers, name)
    except Unreadable:
        return None

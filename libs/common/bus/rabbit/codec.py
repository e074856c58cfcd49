"""A message as AMQP properties and headers, and back.

CloudEvents attributes travel in `ce-*` headers (binary content mode), so that workers in any language can read and write
them. What is our own begins with `x-yousync-`: the attempt, when the message first failed, the routing key it was published
with (a retried message comes back through the default exchange, which knows only the queue's name), and a dead letter's why.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import aio_pika
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from libs.common.bus.base import DeadLetter, Message
from libs.common.bus.rabbit.lenient import UNDECODABLE

ATTEMPT = "x-yousync-attempt"
FIRST_FAILED = "x-yousync-first-failed"
ROUTING_KEY = "x-yousync-routing-key"
REASON = "x-yousync-reason"
ERROR = "x-yousync-error"
QUEUE = "x-yousync-queue"


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
    try:
        return _time(headers_of(delivered), FIRST_FAILED)
    except Unreadable:
        return None


def after_failure(message: Message, first_failed: datetime) -> aio_pika.Message:
    """What goes to the retry ladder; `message` is the next attempt."""
    return encode(message, {FIRST_FAILED: first_failed.isoformat(), ROUTING_KEY: message.routing_key})


def dead(letter: DeadLetter) -> aio_pika.Message:
    """What goes to the dead letters."""
    why = {REASON: letter.reason, ERROR: letter.error, QUEUE: letter.queue}
    since = {FIRST_FAILED: letter.first_failed.isoformat(), ROUTING_KEY: letter.message.routing_key}
    return encode(letter.message, {**why, **since})


def dead_unreadable(delivered: DeliveredMessage, queue: str, error: str) -> aio_pika.Message:
    """What goes to the dead letters though it never was a message: what can be kept of it, and why it could not be read."""
    headers: FieldTable = {name: value for name, value in headers_of(delivered).items() if isinstance(value, str | int | bool)}
    headers |= {REASON: "unreadable", ERROR: error, QUEUE: queue, FIRST_FAILED: datetime.now(UTC).isoformat()}
    headers[ROUTING_KEY] = delivered.routing_key or ""
    return aio_pika.Message(
        delivered.body,
        headers=headers,
        content_type=delivered.header.properties.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


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
    if REASON not in headers and "x-first-death-reason" in headers:
        # The broker's own guard (`x-delivery-limit`) put it here: consumers died while they held it.
        return DeadLetter(
            message,
            queue=str(headers.get("x-first-death-queue", queue)),
            reason="exhausted",
            error=f"given up by the broker: {headers['x-first-death-reason']!s}",
            first_failed=first_failed(delivered) or message.time,
        )
    return DeadLetter(
        message,
        queue=str(headers.get(QUEUE, queue)),
        reason=str(headers.get(REASON, "unreadable")),
        error=str(headers.get(ERROR, "")),
        first_failed=first_failed(delivered) or message.time,
    )


def headers_of(delivered: DeliveredMessage) -> FieldTable:
    """The headers, none when the producer sent none."""
    return delivered.header.properties.headers or {}


def _text(headers: FieldTable, name: str, default: str | None = None) -> str:
    value = headers.get(name, default)
    if value is None:
        raise Unreadable(f"header {name} is missing")
    if not isinstance(value, str):
        raise Unreadable(f"header {name} is not a text: {value!r}")
    return value


def _time(headers: FieldTable, name: str) -> datetime | None:
    if name not in headers:
        return None
    try:
        time = datetime.fromisoformat(_text(headers, name))
    except ValueError as error:
        raise Unreadable(f"header {name} is not an ISO 8601 time: {headers[name]!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)

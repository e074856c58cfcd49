"""`docs/asyncapi.yaml`: who sends what to whom over the broker, as an AsyncAPI 3.0 document made from the code."""

import inspect
from typing import Any

import yaml

from libs.common.bus.base import PARTITIONS
from libs.common.bus.topology import EVENTS_EXCHANGE, FRAMES_EXCHANGE, LEASES_EXCHANGE, QUEUES, WORK, Queue
from libs.common.contracts.base import Event
from yousync.contracts.schemas import FRAMES, LEASES, Schema, events, listeners_of, queues_of, routing_keys, senders

BINDING = {"bindingVersion": "0.3.0"}
# The channels of frames, and what comes behind the partition's number.
LEASES_FROM = {"frames": "", "leases": f" + {PARTITIONS}"}
DESCRIPTION = f"""\
Facts and requests go to the topic exchange `{EVENTS_EXCHANGE}` with their name as routing key; each service has one durable
queue for what it wants to hear, and analysis servers share three work queues. What every process of a service must
know (`session.revoked`) each hears by an exclusive queue of its own, at most once. Bodies are JSON; fields may be added at any
time, and readers ignore those they do not know. A field never changes or goes: that is a new event.

Delivery is at least once. Messages of one `ce-subject` keep their order. What a service cannot handle it tries again
later, and puts to the queue `<service>.dead` in the end.

Made by `make contracts` from libs/common/contracts and libs/common/bus/topology.py.
"""
TRACEPARENT: Schema = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "of the span that sent it; one trace from the learner's request to the last frame",
}
HEADERS: Schema = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary content mode (`datacontenttype` is the AMQP content type) and W3C trace context.",
    "required": ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "traceparent"],
    "properties": {
        "ce-specversion": {"type": "string", "const": "1.0"},
        "ce-id": {"type": "string", "format": "uuid", "description": "the same in every delivery: deduplicate by it"},
        "ce-type": {"type": "string", "description": "the event's name"},
        "ce-source": {"type": "string", "format": "uri-reference", "minLength": 1, "description": "the service that sent it"},
        "ce-time": {"type": "string", "format": "date-time"},
        "ce-subject": {"type": "string", "minLength": 1, "description": "what it is about, and the ordering key: `job:<id>`"},
        "traceparent": TRACEPARENT,
        "x-yousync-attempt": {"type": "integer", "minimum": 1, "description": "1, and one more after each failed attempt"},
        "x-yousync-first-failed": {"type": "string", "format": "date-time", "description": "only of one that was tried before"},
        "x-yousync-routing-key": {"type": "string", "description": "only of one that was tried before: as first published"},
    },
}
FRAME_HEADERS: Schema = {
    "type": "object",
    "description": "No event: a frame is known by its channel and sequence, which are in its body.",
    "required": ["traceparent"],
    "properties": {"traceparent": TRACEPARENT},
}
WHY_DEAD: Schema = {
    "type": "object",
    "required": ["x-yousync-reason", "x-yousync-error", "x-yousync-queue", "x-yousync-first-failed"],
    "properties": {
        "x-yousync-reason": {"type": "string", "enum": ["rejected", "exhausted", "unreadable"]},
        "x-yousync-error": {"type": "string", "description": "class and text of the last exception"},
        "x-yousync-queue": {"type": "string", "description": "where it was consumed"},
        "x-yousync-first-failed": {"type": "string", "format": "date-time"},
    },
}


def document() -> Schema:
    """The AsyncAPI document; bodies are in the files `schemas/<name>.json` beside it."""
    declared = events()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "YouSync events", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "rabbitmq:5672", "protocol": "amqp", "protocolVersion": "0.9.1"}},
        "channels": {
            **{name: _event_channel(event) for name, event in declared.items()},
            **{queue.name: _queue_channel(queue, declared) for queue in QUEUES},
            **{queue.dead_letter_queue: _dead_letter_channel(queue) for queue in QUEUES},
            "frames": _frames_channel("What clients are shown, by partition of the channel; may be lost.", "frames"),
            "leases": _frames_channel(
                "What whoever holds a lease is told, by partition of its channel; may be lost.", "leases"
            ),
        },
        "operations": dict(sorted(_operations(declared).items())),
        "components": {
            "messages": {
                **{name: _message(event) for name, event in declared.items()},
                **{name: _frame_message(name) for name in FRAMES},
                "dead": {"title": "A message that nobody tries again by itself", "headers": _ref("components/schemas/whyDead")},
            },
            "schemas": {"headers": HEADERS, "whyDead": WHY_DEAD, "frameHeaders": FRAME_HEADERS},
            "channelBindings": {
                "events": _exchange(EVENTS_EXCHANGE, "topic"),
                "frames": _exchange(FRAMES_EXCHANGE, "direct"),
                "leases": _exchange(LEASES_EXCHANGE, "direct"),
            },
        },
    }


def as_yaml(described: Schema) -> str:
    """`described` as YAML, in its own order and without anchors."""
    return str(yaml.dump(described, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _event_channel(event: type[Event]) -> Schema:
    channel: Schema = {"address": event.name, "summary": _first_line(event), "messages": _messages((event.name,))}
    if routing_keys(event) != (event.name,):
        channel["address"] = f"{event.name}.{{priority}}"
        channel["parameters"] = {"priority": {"enum": list(WORK), "description": "which work queue"}}
    return channel | {"bindings": _ref("components/channelBindings/events")}


def _queue_channel(queue: Queue, declared: dict[str, type[Event]]) -> Schema:
    heard = tuple(name for name, event in declared.items() if queue in queues_of(event))
    return {
        "address": queue.name,
        "summary": f"What {queue.service} hears.",
        "messages": _messages(heard),
        "bindings": _queue(queue.name),
        "x-bindings": {"exchange": EVENTS_EXCHANGE, "routingKeys": list(queue.bindings)},
        "x-queue-type": "quorum" if queue.quorum else "classic",
        "x-dead-letter-queue": queue.dead_letter_queue,
    }


def _dead_letter_channel(queue: Queue) -> Schema:
    return {
        "address": queue.dead_letter_queue,
        "summary": f"What {queue.service} could not handle, until a person looks at it.",
        "messages": _messages(("dead",)),
        "bindings": _queue(queue.dead_letter_queue),
    }


def _frames_channel(summary: str, channel: str) -> Schema:
    return {
        "address": "{partition}",
        "summary": summary,
        "description": "Each listener has an exclusive queue of its own, `<its user>.ear.<hex digits>`, bound to the "
        "partitions that it wants to hear.",
        "parameters": {"partition": {"description": f"crc32(channel) % {PARTITIONS}{LEASES_FROM[channel]}"}},
        "messages": _messages(_frames_of(channel)),
        "bindings": _ref(f"components/channelBindings/{channel}"),
    }


def _frames_of(channel: str) -> tuple[str, ...]:
    return tuple(name for name in FRAMES if (name in LEASES) == (channel == "leases"))


def _operations(declared: dict[str, type[Event]]) -> Schema:
    sends = {
        f"{sender}.sends.{name}": _operation("send", name, (name,))
        for name, event in declared.items()
        for sender in senders(event)
    }
    receives = {
        f"{queue.service}.receives.{queue.name}": _operation(
            "receive", queue.name, tuple(name for name, event in declared.items() if queue in queues_of(event))
        )
        for queue in QUEUES
    }
    listens = {
        f"{who}.receives.{name}": _operation("receive", name, (name,))
        for name, event in declared.items()
        for who in listeners_of(event)
    }
    frames: Schema = {}
    for channel in LEASES_FROM:
        of_channel = _frames_of(channel)
        tellers = {name: FRAMES[name][1] for name in of_channel}
        readers = {name: FRAMES[name][2] for name in of_channel}
        for action, verb, people in (("send", "sends", tellers), ("receive", "receives", readers)):
            for who in sorted({who for each in people.values() for who in each}):
                names = tuple(name for name, each in people.items() if who in each)
                frames[f"{who}.{verb}.{channel}"] = _operation(action, channel, names)
    return sends | receives | listens | frames


def _operation(action: str, channel: str, messages: tuple[str, ...]) -> Schema:
    return {
        "action": action,
        "channel": _ref(f"channels/{channel}"),
        "messages": [_ref(f"channels/{channel}/messages/{name}") for name in messages],
    }


def _message(event: type[Event]) -> Schema:
    return {
        "name": event.name,
        "title": event.__name__,
        "summary": _first_line(event),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "allOf": [_ref("components/schemas/headers")],
            "properties": {"ce-type": {"const": event.name}, "ce-source": {"examples": list(senders(event))}},
        },
        "payload": _payload(event.name),
        "bindings": {"amqp": {"messageType": event.name, **BINDING}},
        "x-must-route": event.must_route,
    }


def _frame_message(name: str) -> Schema:
    model, _, _ = FRAMES[name]
    return {
        "name": name,
        "title": model.__name__,
        "summary": _first_line(model),
        "contentType": "application/json",
        "headers": _ref("components/schemas/frameHeaders"),
        "payload": _payload(name),
    }


def _payload(name: str) -> Schema:
    return {
        "schemaFormat": "application/schema+json;version=draft-07",
        "schema": {"$ref": f"./schemas/{name}.json"},
    }


def _messages(names: tuple[str, ...]) -> Schema:
    return {name: _ref(f"components/messages/{name}") for name in names}


def _exchange(name: str, kind: str) -> Schema:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": exchange, **BINDING}}


def _queue(name: str) -> Schema:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "queue", "queue": queue, **BINDING}}


def _ref(place: str) -> Schema:
    return {"$ref": f"#/{place}"}


def _first_line(model: type[Any]) -> str:
    return inspect.cleandoc(model.__doc__ or "").partition("\n")[0]

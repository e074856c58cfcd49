"""The generated document: complete, sound, and true of messages as they travel."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]

from libs.common.bus.base import DeadLetter, Message
from libs.common.bus.rabbit import codec
from libs.common.bus.topology import QUEUES
from libs.common.contracts.audio import AnalysisReportFailed, AnalysisRequested, JobKind, Priority
from libs.common.contracts.base import Event
from libs.common.contracts.catalog import Word
from libs.common.telemetry import new_traceparent
from yousync.contracts.asyncapi import FRAME_HEADERS, HEADERS, WHY_DEAD, as_yaml, document
from yousync.contracts.schemas import events, field_comments, listeners_of, queues_of, schemas

NOW = datetime.now(UTC)
REQUESTED = AnalysisRequested(
    job_id="0" * 32,
    kind=JobKind.LINE,
    priority=Priority.HIGH,
    attempt=1,
    lease="1" * 32,
    lease_seconds=30.0,
    claim_before=NOW,
    deadline=NOW,
    audio_url="http://127.0.0.1/take",
    audio_uri="s3://takes/take",
    media_type="audio/wav",
    token_id=1,
    script_id=1,
    line_start=0.0,
    line_end=1.5,
    words=(Word(id=1, word="hello", start_time=0.0, end_time=0.5, mfcc=((0.5,) * 13,)),),
)
FAILED = AnalysisReportFailed(job_id="0" * 32, lease="1" * 32, worker="w", reason="no_audio", message="..", temporary=True)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for value in node.values() for each in references(value)]
    return [each for value in node for each in references(value)] if isinstance(node, list) else []


def test_the_document_is_yaml_that_says_the_same() -> None:
    assert yaml.safe_load(as_yaml(document())) == document()


def test_every_reference_leads_somewhere() -> None:
    described, bodies = document(), schemas()
    for reference in references(described):
        if reference.startswith("./schemas/"):
            assert reference.removeprefix("./schemas/").removesuffix(".json") in bodies
            continue
        node: Any = described
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_messages_of_an_operation_are_those_of_its_channel() -> None:
    described = document()
    for name, operation in described["operations"].items():
        channel = operation["channel"]["$ref"]
        assert operation["messages"], name
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def test_every_event_is_sent_by_its_producer_and_received_from_every_queue_that_hears_it() -> None:
    described = document()
    assert events()
    for name, event in events().items():
        assert [who for who in described["operations"] if who.endswith(f".sends.{name}")], name
        heard = {
            operation.partition(".receives.")[2]
            for operation, what in described["operations"].items()
            if what["action"] == "receive" and any(each["$ref"].endswith(f"/messages/{name}") for each in what["messages"])
        }
        assert heard == {queue.name for queue in queues_of(event)} | ({name} if listeners_of(event) else set())
        assert heard or not event.must_route, f"{name} must be routed and no queue is bound for it"


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_no_queue_is_bound_for_what_nobody_sends(queue: Any) -> None:
    for pattern in queue.bindings:
        lone = type(queue)(queue.name, queue.service, (pattern,))
        heard = [name for name, event in events().items() if _hears(lone, event)]
        assert heard, f"{queue.name} is bound for {pattern}, which no event has"


def _hears(queue: Any, event: type[Event]) -> bool:
    from libs.common.bus.topology import matches
    from yousync.contracts.schemas import routing_keys

    return any(matches(pattern, key) for pattern in queue.bindings for key in routing_keys(event))


@pytest.mark.parametrize(("name", "schema"), schemas().items(), ids=schemas())
def test_a_body_has_a_sound_schema_without_references(name: str, schema: dict[str, Any]) -> None:
    Draft7Validator.check_schema(schema)
    assert references(schema) == []
    assert schema["description"], f"{name} has no docstring"


@pytest.mark.parametrize("event", [REQUESTED, FAILED], ids=lambda event: event.name)
def test_a_message_travels_as_the_document_says(event: Event) -> None:
    message = Message.of(event, source="audio", subject="job:1", traceparent=new_traceparent())
    sent = codec.encode(message)
    described = document()["components"]["messages"][event.name]
    check(HEADERS, dict(sent.headers))
    assert sent.headers["ce-type"] == described["headers"]["properties"]["ce-type"]["const"]
    assert sent.content_type == described["contentType"]
    check(schemas()[event.name], json.loads(sent.body))


def test_a_frame_travels_in_the_trace_of_what_it_tells() -> None:
    parent = new_traceparent()
    sent = codec.encode_frame(b"{}", parent)
    check(FRAME_HEADERS, dict(sent.headers))
    assert str(sent.headers["traceparent"]).split("-")[1] == parent.split("-")[1]


def test_a_message_without_a_subject_has_none() -> None:
    message = Message.of(FAILED, source="analysis", subject="", traceparent=new_traceparent())
    check(HEADERS, dict(codec.encode(message).headers))


def test_retried_and_dead_messages_travel_as_the_document_says() -> None:
    message = Message.of(FAILED, source="analysis", subject="job:1", traceparent=new_traceparent())
    check(HEADERS, dict(codec.after_failure(message.again(), NOW).headers))
    dead = dict(codec.dead(DeadLetter(message, "audio.reports", "rejected", "ValueError: no", NOW)).headers)
    check(HEADERS, dead)
    check(WHY_DEAD, dead)


def test_comments_in_the_contracts_become_descriptions() -> None:
    assert field_comments(AnalysisRequested)["lease"] == "fencing token of this attempt"
    properties = schemas()["analysis.requested"]["properties"]
    assert properties["script_id"]["description"].startswith("null for a whole scene")
    assert properties["webhook_url"]["description"].startswith("For servers that only speak HTTP")
    assert properties["words"]["items"]["properties"]["mfcc"]["description"].startswith("frames x 13")
    assert "description" not in properties["media_type"], "a comment of another field"


def check(schema: dict[str, Any], value: Any) -> None:
    Draft7Validator(schema, format_checker=FormatChecker()).validate(value)

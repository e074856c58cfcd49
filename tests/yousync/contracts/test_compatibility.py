"""Which changes of a published message are refused, and what the refusal says."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from yousync.contracts.compatibility import breaks
from yousync.contracts.schemas import Schema, schemas

PUBLISHED = schemas()
Change = Callable[[dict[str, Any]], object]


def told(message: str, change: Change) -> list[str]:
    """What is said when `change` is done to the properties of a published message."""
    current = deepcopy(PUBLISHED)
    change(current[message])
    return [str(each) for each in breaks(PUBLISHED, current)]


def test_what_is_as_published_breaks_nobody() -> None:
    assert breaks(PUBLISHED, deepcopy(PUBLISHED)) == []


def optional(schema: Schema) -> None:
    schema["properties"]["hint"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}


def words(schema: Schema) -> None:
    schema["description"] = schema["properties"]["job_id"]["description"] = "said better"


def readers(schema: Schema) -> None:
    schema["x-readers"].append("catalog")


@pytest.mark.parametrize("change", [optional, words, readers])
def test_another_field_better_words_and_more_readers_break_nobody(change: Change) -> None:
    assert told("analysis.failed", change) == []


def test_a_new_message_breaks_nobody() -> None:
    assert breaks({}, PUBLISHED) == []


def test_a_message_that_is_gone_breaks_its_readers() -> None:
    current = {name: schema for name, schema in PUBLISHED.items() if name != "analysis.failed"}
    [found] = breaks(PUBLISHED, current)
    assert str(found) == "analysis.failed is gone, or has another name; analysis.failed is read by notifier"


def test_a_reader_that_was_unbound_in_the_same_change_is_named_all_the_same() -> None:
    def change(schema: Schema) -> None:
        schema["x-readers"] = []
        del schema["properties"]["reason"]

    assert told("analysis.failed", change) == [
        "analysis.failed: field reason is gone, or has another name; analysis.failed is read by notifier"
    ]


def of(field: str, **values: Any) -> Change:
    def change(schema: Schema) -> None:
        schema["properties"][field] = values

    return change


def require(field: str) -> Change:
    def change(schema: Schema) -> None:
        schema["properties"].setdefault(field, {"type": "string"})
        schema["required"].append(field)

    return change


def unrequire(field: str) -> Change:
    return lambda schema: schema["required"].remove(field)


@pytest.mark.parametrize(
    ("message", "change", "field", "why"),
    [
        ("analysis.requested", require("studio"), "studio", "is new and must be there"),
        ("analysis.requested", require("webhook_url"), "webhook_url", "may no longer be missing"),
        ("analysis.requested", unrequire("lease"), "lease", "may now be missing"),
        ("analysis.requested", of("attempt", type="number"), "attempt", "was integer and is now number"),
        ("analysis.requested", of("attempt", type="string"), "attempt", "was integer and is now string"),
        ("analysis.requested", of("lease_seconds", type="integer"), "lease_seconds", "was number and is now integer"),
        ("analysis.requested", of("attempt", type="integer", minimum=1), "attempt", "had no minimum and now has minimum 1"),
        ("analysis.requested", of("deadline", type="string"), "deadline", "had format 'date-time' and now has no format"),
        ("analysis.requested", of("script_id", type="integer"), "script_id", "may no longer be null"),
        ("analysis.requested", of("kind", type="string", enum=["line"]), "kind", "may no longer be 'token'"),
        ("analysis.requested", of("kind", type="string", enum=["line", "token", "duet"]), "kind", "may now be 'duet'"),
        ("analysis.requested", of("kind", type="string"), "kind", "may now be more than 'line', 'token'"),
        (
            "analysis.requested",
            of("media_type", type="string", enum=["audio/wav"]),
            "media_type",
            "may now only be 'audio/wav'",
        ),
        (
            "analysis.requested",
            of("attempt", anyOf=[{"type": "integer"}, {"type": "null"}]),
            "attempt",
            "may now be null",
        ),
        (
            "analysis.requested",
            of("attempt", anyOf=[{"type": "integer"}, {"type": "string"}]),
            "attempt",
            "was integer and is now integer or string",
        ),
        (
            "analysis.requested",
            lambda schema: schema["properties"]["words"]["items"]["properties"]["id"].update(type="string"),
            "words[].id",
            "was integer and is now string",
        ),
        (
            "analysis.requested",
            lambda schema: schema["properties"]["words"]["items"]["properties"].pop("start_time"),
            "words[].start_time",
            "is gone",
        ),
        (
            "analysis.requested",
            lambda schema: schema["properties"]["pitch_uri"].update(default=""),
            "pitch_uri",
            "meant None when it was missing, and now means ''",
        ),
        ("analysis.report.failed", require("code"), "code", "is new and must be there"),
    ],
)
def test_a_change_that_somebody_cannot_live_with_is_named_with_its_field_and_readers(
    message: str, change: Change, field: str, why: str
) -> None:
    [said] = told(message, change)
    assert said.startswith(f"{message}: field {field} {why}")
    assert said.endswith(f"is read by {'audio' if 'report' in message else 'analysis'}")

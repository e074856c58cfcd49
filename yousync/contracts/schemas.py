"""What a message's body must be, as a JSON Schema without references: every message that crosses a service boundary."""

import importlib
import inspect
import io
import pkgutil
import re
import tokenize
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelSchema

import libs.common.contracts
from libs.common.bus.topology import HEARD_BY_ALL, QUEUES, WORK, Queue, matches
from libs.common.contracts.acts import ActPerformed
from libs.common.contracts.audio import AnalysisReport, AnalysisRequested
from libs.common.contracts.base import Event, declared_events
from libs.common.contracts.notifier import Frame, Stored

# Of the drafts that AsyncAPI 3.0 asks every tool to know, the newest.
DRAFT = "http://json-schema.org/draft-07/schema#"
# What travels on the exchanges of frames has no name on the wire: who sends it and who hears it.
FRAMES: dict[str, tuple[type[BaseModel], tuple[str, ...], tuple[str, ...]]] = {
    "frame": (Frame, ("audio",), ("gateway", "audio")),
    "frame.stored": (Stored, ("notifier",), ("gateway",)),
    "frame.lease": (Frame, ("audio",), ("analysis",)),
}
LEASES = ("frame.lease",)
"""Those of `FRAMES` that go to the exchange of leases."""
Schema = dict[str, Any]


def events() -> dict[str, type[Event]]:
    """Every event that the contracts declare, by name."""
    for module in pkgutil.iter_modules(libs.common.contracts.__path__, f"{libs.common.contracts.__name__}."):
        importlib.import_module(module.name)
    ours = f"{libs.common.contracts.__name__}."
    return {name: event for name, event in sorted(declared_events().items()) if event.__module__.startswith(ours)}


def senders(event: type[Event]) -> tuple[str, ...]:
    """The services that send it: whose module declares it.

    Except reports, which `audio` declares for analysis servers, and what the audit log hears of all who let administrators act.
    """
    if event is ActPerformed:
        return ("audio", "catalog")
    return ("analysis" if issubclass(event, AnalysisReport) else event.__module__.rpartition(".")[2],)


def routing_keys(event: type[Event]) -> tuple[str, ...]:
    """The routing keys with which it is published."""
    if event is AnalysisRequested:
        return tuple(f"{event.name}.{priority}" for priority in WORK)
    return (event.name,)


def queues_of(event: type[Event]) -> tuple[Queue, ...]:
    """The queues that hear it."""
    keys = routing_keys(event)
    return tuple(queue for queue in QUEUES if any(matches(pattern, key) for pattern in queue.bindings for key in keys))


def listeners_of(event: type[Event]) -> tuple[str, ...]:
    """The services of which every process hears it by an ear of its own."""
    keys = routing_keys(event)
    hears = HEARD_BY_ALL.items()
    return tuple(who for who, patterns in hears if any(matches(pattern, key) for pattern in patterns for key in keys))


def schemas() -> dict[str, Schema]:
    """The schema of every message, by name."""
    of_events = {
        name: schema_of(
            name,
            event,
            senders(event),
            tuple(sorted({*(queue.service for queue in queues_of(event)), *listeners_of(event)})),
        )
        for name, event in events().items()
    }
    return of_events | {name: schema_of(name, *of_frame) for name, of_frame in FRAMES.items()}


def schema_of(name: str, model: type[BaseModel], senders: tuple[str, ...], readers: tuple[str, ...]) -> Schema:
    """What a reader of `model` must accept: fields with a default may be missing in messages from before they were added."""
    generated = model.model_json_schema(mode="validation", schema_generator=_WithComments)
    definitions = generated.pop("$defs", {})
    del generated["description"]
    return {
        "$schema": DRAFT,
        "$id": f"urn:yousync:{name}",
        "title": name,
        "description": inspect.cleandoc(model.__doc__ or ""),
        "x-senders": list(senders),
        "x-readers": list(readers),
        **_plain(generated, definitions),
    }


class _WithComments(GenerateJsonSchema):
    """The comments of fields become their descriptions: units and meanings are written only once."""

    def model_schema(self, schema: ModelSchema) -> Schema:
        generated = super().model_schema(schema)
        for field, comment in field_comments(schema["cls"]).items():
            generated["properties"][field]["description"] = comment
        return generated


def _plain(schema: Any, definitions: dict[str, Schema]) -> Any:
    """`schema` with definitions in the place of references. A contract that contains itself never ends; there is none."""
    if isinstance(schema, list):
        return [_plain(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        named = definitions[schema["$ref"].rpartition("/")[2]]
        return _plain({**named, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions)
    plain = {key: _plain(value, definitions) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if plain.get("additionalProperties") is True:
        del plain["additionalProperties"]  # readers ignore what they do not know, everywhere
    return plain


def field_comments(model: type[BaseModel]) -> dict[str, str]:
    """What the source says of each field: the comment behind it, or the lines of comment above it."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each not in (BaseModel, Event):
            found |= _comments_in(inspect.getsource(each))
    return {field: re.sub(r"\bNone\b", "null", comment) for field, comment in found.items() if field in model.model_fields}


def _comments_in(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    above: list[str] = []
    field = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc(source)).readline):
        text = token.string.removeprefix("#").strip()
        alone = token.line.lstrip().startswith("#")
        if token.type == tokenize.COMMENT and alone:
            above.append(text)
        elif token.type == tokenize.COMMENT and field:
            found[field] = text
        elif token.type == tokenize.NAME and not token.line[: token.start[1]].strip():
            field = token.string
            if above:
                found[field] = " ".join(above)
        elif token.type == tokenize.NEWLINE:
            above, field = [], ""
    return found

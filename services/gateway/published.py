"""What the gateway adds to the services' descriptions of their operations: its own refusals, examples, nothing internal."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from libs.common.web import openapi
from libs.common.web.auth import SessionEnded
from libs.common.web.language import Language
from services.gateway.errors import BodyTooLarge, ServiceDown, TooManyRequests
from services.gateway.examples import NoExample, example_of, word
from services.gateway.proxy import SERVICE_SILENT, SLOW_BODY

_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')


def refusals(operation: Mapping[str, Any], limit: int) -> openapi.Responses:
    """What an operation behind the gateway may be answered without its service; a body may have `limit` bytes."""
    refused = openapi.answers(TooManyRequests(15, Language.KOREAN), ServiceDown())
    refused |= openapi.answer(HTTPStatus.GATEWAY_TIMEOUT, "The service did not answer in time", *SERVICE_SILENT)
    if any(openapi.BEARER in each for each in operation.get("security", ())):
        refused |= openapi.answers(SessionEnded())
    if "requestBody" in operation:
        refused |= openapi.answers(BodyTooLarge(limit))
        refused |= openapi.answer(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time", SLOW_BODY)
    return refused


def show(document: dict[str, Any]) -> None:
    """Give `document` an example of everything that it has words for, and take out shapes that only internal calls have."""
    schemas = document["components"]["schemas"]
    for _, _, operation in openapi.operations(document):
        for parameter in operation.get("parameters", ()):
            if not {"example", "examples"} & {*parameter, *parameter["schema"]} and word(parameter["name"]) is not None:
                parameter["example"] = word(parameter["name"])
        bodies = [said for status, said in operation["responses"].items() if status.startswith("2")]
        for body in (*bodies, operation.get("requestBody", {})):
            _exemplify(body.get("content", {}).get("application/json"), schemas)
    document["components"]["schemas"] = _referred_to(document["paths"], schemas)


def _exemplify(content: dict[str, Any] | None, schemas: Mapping[str, Any]) -> None:
    if content is not None and not {"example", "examples"} & content.keys():
        with suppress(NoExample):
            content["example"] = example_of(content.get("schema", {}), schemas)


def _referred_to(paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    found: set[str] = set()
    new = set(_REFERENCE.findall(json.dumps(paths)))
    while new:
        found |= new
        new = {name for each in new for name in _REFERENCE.findall(json.dumps(schemas[each]))} - found
    return {name: schema for name, schema in schemas.items() if name in found}

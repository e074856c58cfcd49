"""What every service's API document says in the same way: readable operation ids, who may call, errors as they are answered."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from itertools import count
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from libs.common.errors import Forbidden, Unauthenticated, YouSyncError
from libs.common.web import auth, problems
from libs.common.web.rights import Need, Rights, Who

METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
BEARER: Final = "bearer"
UNREADABLE: Final = ("The body is no text in UTF-8", "There was an error parsing the body")  # as the framework answers

Responses = dict[int | str, dict[str, Any]]
"""What an endpoint gives as its `responses`."""

_DETAIL = {"type": "string", "description": "For the person who meets it"}
_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. Programs look at `status` and `code`.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": _DETAIL,
        "code": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
_FIELD_ERROR: Mapping[str, Any] = {
    "type": "object",
    "title": "FieldError",
    "description": "What is wrong with which part of the request.",
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
        "input": {},
        "ctx": {"type": "object"},
    },
    "required": ["type", "loc", "msg"],
}
_INVALID: Mapping[str, Any] = {
    **_PROBLEM,
    "title": "InvalidRequest",
    "properties": {
        **_PROBLEM["properties"],
        "detail": {"anyOf": [_DETAIL, {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}]},
    },
}
_SCHEMAS = {"Problem": _PROBLEM, "FieldError": _FIELD_ERROR, "InvalidRequest": _INVALID}
_INVALID_EXAMPLE = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": [
        {
            "type": "int_parsing",
            "loc": ["path", "token_id"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "input": "abc",
        }
    ],
    "code": "validation",
}


def operation_id(route: APIRoute) -> str:
    """`tokens_upload_audio`: the resource, and the name of the endpoint's function. Generators of clients make it a name."""
    parts = [part for part in route.path_format.split("/") if part not in ("", "api") and not part.startswith("{")]
    resource = re.sub(r"\W+", "_", parts[0]).strip("_") if parts else ""
    return route.name if resource in ("", route.name) else f"{resource}_{route.name}"


def answers(*errors: YouSyncError) -> Responses:
    """The `responses` of an endpoint that may fail with `errors`: each one's text is an example, its docstring describes it."""
    documented: Responses = {}
    for error in errors:
        there = documented.setdefault(int(problems.STATUS[error.kind]), {"description": "", "content": {}})
        if (meaning := _meaning(error)) not in there["description"]:
            there["description"] = " / ".join(filter(None, (there["description"], meaning)))
        content = there["content"].setdefault(problems.MEDIA_TYPE, {"schema": _reference("Problem"), "examples": {}})
        value = problem_example(problems.STATUS[error.kind], error.detail, error.code)
        content["examples"][_free(error.code, content["examples"])] = {"value": value}
    return documented


def answer(status: int, description: str, detail: str, code: str | None = None) -> Responses:
    """The `responses` of an endpoint that may be answered an error which is no exception of ours."""
    example = {code or "problem": {"value": problem_example(status, detail, code)}}
    content = {problems.MEDIA_TYPE: {"schema": _reference("Problem"), "examples": example}}
    return {int(status): {"description": description, "content": content}}


def problem_example(status: int, detail: str, code: str | None = None) -> dict[str, Any]:
    """A problem document as `problems.problem` answers it."""
    named = {} if code is None else {"code": code}
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status), "detail": detail, **named}


def install(app: FastAPI) -> None:
    """Let the API document of `app` tell what is true of all services."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    @cache
    def complete() -> dict[str, Any]:
        return completed(plain(), app.state.rights)

    app.openapi = complete  # type: ignore[method-assign]


def completed(document: dict[str, Any], rights: Rights) -> dict[str, Any]:
    """`document` with the shapes of errors, and who may call as `rights` say; changes it."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas.update(_SCHEMAS)
    components["securitySchemes"] = {
        BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token of `auth`"}
    }
    for path, method, operation in operations(document):
        _say_who(operation, rights.get(f"{method.upper()} {path}"))
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            document_also(operation["responses"], answer(HTTPStatus.BAD_REQUEST, *UNREADABLE))
        _say_errors(operation["responses"])
    return document


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of an API document with its path and its method, which is in small letters."""
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def document_also(responses: dict[str, Any], more: Responses) -> None:
    """Add what may be answered as well; what an endpoint says itself about the same status stays."""
    for status, said in more.items():
        there = responses.setdefault(str(status), said)
        content = there.setdefault("content", said["content"])
        content.get(problems.MEDIA_TYPE, {}).get("examples", {}).update(said["content"][problems.MEDIA_TYPE]["examples"])


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return next(each for number in count(1) if (each := name if number == 1 else f"{name} {number}") not in taken)


def _meaning(error: YouSyncError) -> str:
    return (type(error).__doc__ or "").strip().partition("\n")[0].rstrip(".")


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _say_who(operation: dict[str, Any], need: Need | None) -> None:
    operation.pop("security", None)
    match need:
        case Need(who=Who.USER | Who.ADMIN | Who.BEARER):
            operation["security"] = [{BEARER: []}]
            document_also(operation["responses"], answers(*map(Unauthenticated, (auth.NO_LOGIN, auth.EXPIRED, auth.INVALID))))
        case Need(who=Who.OPTIONAL):
            operation["security"] = [{}, {BEARER: []}]
    if need is not None and need.who is Who.ADMIN:
        document_also(operation["responses"], answers(Forbidden(need.refusal)))


def _say_errors(responses: dict[str, Any]) -> None:
    for status, said in responses.items():
        if not status.startswith(("4", "5")):
            continue
        if status == "422":
            content = said.get("content", {}).get(problems.MEDIA_TYPE, {})
            examples = {"validation": {"value": _INVALID_EXAMPLE}, **content.get("examples", {})}
            said["content"] = {problems.MEDIA_TYPE: {"schema": _reference("InvalidRequest"), "examples": examples}}
        elif "content" not in said:
            said["content"] = {problems.MEDIA_TYPE: {"schema": _reference("Problem")}}

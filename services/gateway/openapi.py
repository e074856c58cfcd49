"""One OpenAPI document over all services, of exactly those operations that this gateway lets through."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import aiohttp

from libs.common.web import openapi
from libs.common.web.auth import SessionEnded
from libs.common.web.language import Language
from services.gateway import korean, published
from services.gateway.errors import TooManyOwnStreams, TooManyRequests, TooManyStreams
from services.gateway.routes import BodySize, Service, route_of
from services.gateway.upstream import Upstreams

log = logging.getLogger(__name__)

CACHE_SECONDS = 60.0  # a service that was updated shows its new routes after that
CACHE_INCOMPLETE_SECONDS = 2.0
ANSWER_SECONDS = 5.0

TITLE = "YouSync"

STREAMS = {
    "/api/scripts/analysis-progress/{job_id}": ("Follow the analysis of a take", "follow_scripts_analysis"),
    "/api/tokens/analysis-progress/{job_id}": ("Follow the analysis of a take", "follow_tokens_analysis"),
    "/api/youtube/process-progress/{job_id}": ("Follow the job of a film", "follow_youtube_process"),
}
_REFUSALS = (SessionEnded(), TooManyStreams(), TooManyOwnStreams(Language.KOREAN), TooManyRequests(15, Language.KOREAN))
FRAMES = (
    'id: 3\ndata: {"job_id": "36f6a40f6d8547f7a9463ea6d82e58ce", "status": "processing", "progress": 90, '
    '"message": "분석 중…", "result": null}\n\n'
)


def _stream_path(summary: str, operation_id: str) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["analysis"],
            "summary": summary,
            "description": "Server-sent events. Each frame is the whole state of the job; the stream ends behind `completed` "
            "or `failed`. A client that reconnects with `Last-Event-ID` gets what it missed. Whoever shows a sign-in, which a "
            "browser's `EventSource` cannot, sees streams of their own jobs only; it ends with the token, and behind a frame "
            "with the status `error` when the session ends.",
            "operationId": operation_id,
            "security": [{}, {openapi.BEARER: []}],
            "parameters": [
                {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}},
                # What is no number is passed over: a browser sends back whatever it was given, and must not be refused.
                {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}, "example": "7"},
            ],
            "responses": {
                "200": {
                    "description": "The stream, also of an unknown job",
                    "content": {"text/event-stream": {"example": FRAMES}},
                },
                **{str(status): said for status, said in openapi.answers(*_REFUSALS).items()},
            },
        }
    }


class PlatformSchema:
    """Made when first asked for. A service that does not answer is left out, and the description says so."""

    def __init__(self, upstreams: Upstreams, own: Callable[[], dict[str, Any]], limits: Mapping[BodySize, int]) -> None:
        self._upstreams = upstreams
        self._own = own  # describes what the gateway answers itself
        self._limits = limits  # bytes of a request's body
        self._documents: dict[Language, dict[str, Any]] = {}
        self._valid_until = float("-inf")
        self._making = asyncio.Lock()

    async def document(self, language: Language) -> dict[str, Any]:
        """The merged document, its summaries in `language`."""
        async with self._making:
            if time.monotonic() > self._valid_until:
                parts = dict(zip(Service, await asyncio.gather(*map(self._fetch, Service)), strict=True))
                merged = self._merge(parts)
                self._documents = {Language.ENGLISH: merged, Language.KOREAN: korean.in_korean(merged)}
                complete = all(part is not None for part in parts.values())
                self._valid_until = time.monotonic() + (CACHE_SECONDS if complete else CACHE_INCOMPLETE_SECONDS)
        return self._documents[language]

    async def _fetch(self, service: Service) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                part = await self._upstreams.get_json(service, "/openapi.json")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("a service does not show its routes", extra={"upstream": service, "error": repr(error)})
            return None
        return part if isinstance(part, dict) else None

    def _merge(self, parts: dict[Service, dict[str, Any] | None]) -> dict[str, Any]:
        missing = [service for service, part in parts.items() if part is None]
        note = f"\n\nNot shown, because they do not answer at the moment: {', '.join(missing)}." if missing else ""
        merged = deepcopy(self._own())
        merged["info"]["description"] = korean.DESCRIPTION[1] + note
        for path, named in STREAMS.items():
            merged["paths"][path] = _stream_path(*named)
        for service, part in parts.items():
            if part is not None:
                self._add(merged, part, service)
        merged["tags"] = korean.tags_of(merged)
        published.show(merged)
        return merged

    def _add(self, merged: dict[str, Any], part: dict[str, Any], service: Service) -> None:
        """Add the public operations of `service`; its components get a prefix where others have that name for another thing."""
        renamed: dict[str, str] = {}
        for kind, named in part.get("components", {}).items():
            taken = merged["components"].setdefault(kind, {})
            for name, definition in named.items():
                if taken.get(name, definition) != definition:
                    renamed[f"#/components/{kind}/{name}"] = f"#/components/{kind}/{service.capitalize()}{name}"
        for kind, named in part.get("components", {}).items():
            for name, definition in named.items():
                new = renamed.get(f"#/components/{kind}/{name}", name).rpartition("/")[2]
                merged["components"][kind][new] = _with_references(definition, renamed)
        for path, item in part.get("paths", {}).items():
            route = route_of(path)
            if route is None or route.service is not service:
                continue
            operations = merged["paths"].setdefault(path, {})
            for method, operation in item.items():
                if method in openapi.METHODS:
                    operations[method] = {"tags": [service.value], **_with_references(operation, renamed)}
                    openapi.document_also(
                        operations[method]["responses"], published.refusals(operation, self._limits[route.body])
                    )


def _with_references(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: renamed.get(item, item) if key == "$ref" and isinstance(item, str) else _with_references(item, renamed)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_references(item, renamed) for item in value]
    return value

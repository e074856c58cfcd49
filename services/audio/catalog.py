"""What this service asks `catalog` directly: what is this line, what is this scene?"""

import logging
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from libs.common.contracts.catalog import Scene, ScriptSnapshot
from services.audio.errors import CatalogUnavailable

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class CatalogClient:
    """`client` reaches the catalogue as this service (`libs.common.web.internal.service_client`)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def script(self, script_id: int) -> ScriptSnapshot | None:
        """The line, or None when the catalogue has none of that id. Raises CatalogUnavailable when it does not say."""
        content = await self._get(f"/internal/scripts/{script_id}")
        return None if content is None else _understood(ScriptSnapshot, content)

    async def scene(self, token_id: int) -> Scene | None:
        """The scene with its lines, or None when the catalogue has none of that id. Raises CatalogUnavailable as above."""
        content = await self._get(f"/internal/tokens/{token_id}")
        return None if content is None else _understood(Scene, content)

    async def _get(self, path: str) -> bytes | None:
        try:
            answer = await self._client.get(path)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise _unavailable(error) from error
        return answer.content

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _understood(model: type[M], content: bytes) -> M:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> CatalogUnavailable:
    log.warning("the catalogue did not answer a question", extra={"error": repr(error)})
    return CatalogUnavailable()

"""The one question that this service asks `catalog` directly: what is this line?"""

import logging
from http import HTTPStatus

import httpx
from pydantic import ValidationError

from libs.common.contracts.catalog import ScriptSnapshot
from services.audio.errors import CatalogUnavailable

log = logging.getLogger(__name__)


class CatalogClient:
    """`client` reaches the catalogue with the platform's service key (`libs.common.web.internal.service_client`)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def script(self, script_id: int) -> ScriptSnapshot | None:
        """The line, or None when the catalogue has none of that id. Raises CatalogUnavailable when it does not say."""
        try:
            answer = await self._client.get(f"/internal/scripts/{script_id}")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            answer.raise_for_status()
            return ScriptSnapshot.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("the catalogue did not answer a question about a line", extra={"error": repr(error)})
            raise CatalogUnavailable from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

"""What this service asks `auth` directly: what are these users called?"""

import asyncio
import logging
from collections.abc import Collection

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0  # a list is shown without names rather than later


class Person(BaseModel):
    """As others may see a user: no address."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int
    full_name: str | None = None
    profile_picture: str | None = None


_PEOPLE = TypeAdapter(list[Person])


class PeopleClient:
    """`client` reaches `auth` with the platform's service key (`libs.common.web.internal.service_client`)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def people(self, user_ids: Collection[int]) -> dict[int, Person] | None:
        """Those of the users that there are, by id; None when `auth` does not say so in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._client.get("/internal/users", params={"ids": ",".join(map(str, user_ids))})
            answer.raise_for_status()
            people = _PEOPLE.validate_json(answer.content)
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            log.warning("auth did not say what users are called", extra={"error": repr(error)})
            return None
        return {person.id: person for person in people}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

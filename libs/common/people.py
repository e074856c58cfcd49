"""What people are called: asked of `auth`, which owns it, and remembered for a minute.

A name decorates an answer. So nobody waits long for it or fails without it: while `auth` does not answer, the last known one
is shown, or none.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter

log = logging.getLogger(__name__)

MAX_AT_ONCE = 100  # ids in one question: as many rows as a page of any list has
FRESH_SECONDS = 60.0  # somebody who changed their name sees the old one for so long at most
ANSWER_SECONDS = 1.0
REMEMBERED = 10_000  # people; about 5 MB


class Person(BaseModel):
    """Somebody as others may see them: no address."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True)

    id: int
    full_name: str | None = None
    profile_picture: str | None = None


_PEOPLE = TypeAdapter(list[Person])


class People:
    """`client` reaches `auth` as the service that asks (`libs.common.web.internal.service_client`)."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._known: OrderedDict[int, tuple[float, Person]] = OrderedDict()  # with the time until which it counts as fresh

    async def named(self, user_ids: Iterable[int]) -> Mapping[int, Person]:
        """Those of at most `MAX_AT_ONCE` people of whom something is known, by id. Never raises."""
        wanted = sorted(set(user_ids))
        now = time.monotonic()
        asked = [each for each in wanted if each not in self._known or self._known[each][0] <= now]
        if asked and (answer := await self._ask(asked)) is not None:
            for each in asked:
                self._known.pop(each, None)  # also who is gone
            self._known.update((person.id, (now + FRESH_SECONDS, person)) for person in answer)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return {each: self._known[each][1] for each in wanted if each in self._known}

    async def _ask(self, user_ids: list[int]) -> list[Person] | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._client.get("/internal/users", params={"ids": ",".join(map(str, user_ids))})
            answer.raise_for_status()
            return _PEOPLE.validate_json(answer.content)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("auth does not say what people are called", extra={"error": repr(error)})
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

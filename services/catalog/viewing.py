"""Counts views: exactly, however many come at once, and written before the answer.

Views of one scene that arrive while an earlier one is being written are written together, and each is told its own number. So
a scene that everybody looks at costs one statement at a time, not one per view that all wait for the same row
(bench/README.md). Several processes count beside each other: the database adds.
"""

import asyncio
from asyncio import Future

from libs.common.db import Database
from services.catalog import repository
from services.catalog.errors import TokenNotFound
from services.catalog.fields import MAX_ID


class Views:
    """The counter of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, list[Future[int]]] = {}  # by scene, while somebody writes for it
        self._writing: set[asyncio.Task[None]] = set()

    async def count(self, token_id: int) -> int:
        """Count one view; how many there are with it. Raises `TokenNotFound`; when it raises anything else it may count."""
        if not 0 < token_id <= MAX_ID:
            raise TokenNotFound
        counted: Future[int] = asyncio.get_running_loop().create_future()
        if token_id in self._waiting:
            self._waiting[token_id].append(counted)
        else:
            self._waiting[token_id] = [counted]
            # A task, because whoever came first may leave before the others have their number.
            writing = asyncio.create_task(self._write(token_id))
            self._writing.add(writing)
            writing.add_done_callback(self._writing.discard)
        return await counted

    async def _write(self, token_id: int) -> None:
        while batch := self._waiting[token_id]:
            self._waiting[token_id] = []
            try:
                async with self._database.autocommit() as connection:
                    last = await repository.add_views(connection, token_id, len(batch))
                if last is None:
                    raise TokenNotFound
            except Exception as error:  # everybody's, who all wait for it
                for counted in batch:
                    if not counted.cancelled():
                        counted.set_exception(error)
            else:
                for number, counted in enumerate(batch, start=last - len(batch) + 1):
                    if not counted.cancelled():
                        counted.set_result(number)
        del self._waiting[token_id]

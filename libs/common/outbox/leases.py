"""Who relays which shard of an outbox: advisory locks of a session, which PostgreSQL frees when the session ends.

Every relay of a database is a member, and the members share the shards evenly. What a holder has too much of it gives back
when nothing of it is under way any more, so that the messages of a shard keep their order.
"""

from collections.abc import Callable

import asyncpg

# Any constants that no other user of this database takes; the database is the service's own.
MEMBERS, SHARDS, TAKING = 0x6F75746D, 0x6F757473, 0x6F757474  # "outm", "outs", "outt"
MOST_SHARDS = 256
_LAYOUT = 1_000  # the key of a shard's lock is the number of shards times this, plus the shard

# A holder that hangs, or that the network has swallowed, gives nothing back: PostgreSQL ends its session after this.
SILENCE_SECONDS = 15

_WHO = """
SELECT classid::bigint AS what, objid::bigint AS key, pid = pg_backend_pid() AS mine FROM pg_locks
 WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid = ANY($1::oid[])
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY pid
"""


class Leases:
    """Those of the shards 0..`shards`-1 that the session of `connection` holds."""

    def __init__(self, connection: asyncpg.Connection, shards: int) -> None:
        if not 0 < shards <= MOST_SHARDS:
            raise ValueError(f"an outbox has 1 to {MOST_SHARDS} shards, not {shards}")
        self._connection = connection
        self._shards = shards
        self.held: frozenset[int] = frozenset()

    async def join(self) -> None:
        """Become a member."""
        await self._connection.execute(f"SET idle_session_timeout TO '{SILENCE_SECONDS}s'")
        await self._connection.execute("SELECT pg_advisory_lock_shared($1, 0)", MEMBERS)

    async def balance(self, is_busy: Callable[[int], bool]) -> None:
        """Take or give back what makes our share even. Also shows that we live: to be called every few seconds.

        A shard that is to go first leaves `held`; its lock it leaves at a later call, when `is_busy` says that no message of
        it is under way.
        """
        mine, quota, _ = await self._look()
        if len(mine) < quota:
            mine = await self._take()
        elif len(mine) > quota:
            leaving = max(mine)
            mine -= {leaving}
            if leaving not in self.held and not is_busy(leaving):
                await self._connection.execute("SELECT pg_advisory_unlock($1, $2)", SHARDS, self._key(leaving))
        self.held = frozenset(mine)

    async def _take(self) -> set[int]:
        """Lock free shards up to our share: one relay after the other, because all shards must be cut in the same way.

        During an update that changes their number the new relays wait for the last old one to go.
        """
        await self._connection.execute("SELECT pg_advisory_lock($1, 0)", TAKING)
        try:
            mine, quota, others = await self._look()
            if all(key // _LAYOUT == self._shards for key in others):
                for shard in {*range(self._shards)} - mine - {key % _LAYOUT for key in others}:
                    lock = "SELECT pg_try_advisory_lock($1, $2)"
                    if len(mine) < quota and await self._connection.fetchval(lock, SHARDS, self._key(shard)):
                        mine.add(shard)
            return mine
        finally:
            await self._connection.execute("SELECT pg_advisory_unlock($1, 0)", TAKING)

    async def _look(self) -> tuple[set[int], int, set[int]]:
        """The shards that we have locked, how many we should have, and the keys that others have locked."""
        rows = await self._connection.fetch(_WHO, [MEMBERS, SHARDS])
        members = [row["mine"] for row in rows if row["what"] == MEMBERS]
        even, rest = divmod(self._shards, len(members))
        quota = even + (members.index(True) < rest)
        mine = {row["key"] % _LAYOUT for row in rows if row["what"] == SHARDS and row["mine"]}
        return mine, quota, {row["key"] for row in rows if row["what"] == SHARDS and not row["mine"]}

    def _key(self, shard: int) -> int:
        return self._shards * _LAYOUT + shard

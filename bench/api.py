"""What does a look into the catalogue cost, and does it grow with the catalogue? 20 scenes against 100,000 in the same run.

Two `catalog` processes over databases of one durable PostgreSQL, asked in turns, so that whatever else the machine does
falls on both; and the large one through a gateway in a process of its own. The clients are in this process: absolute figures
are of all of them on the same cores.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg
import sqlalchemy as sa
import uvloop

from libs.common.db import Database
from libs.common.migrations import upgrade
from libs.common.storage.disk import DiskStorage
from services.catalog import repository
from services.catalog.folding import fold
from services.catalog.listing import Lists
from services.catalog.viewing import Views
from tests.e2e.platforms import free_port
from yousync.local.postgres import PrivatePostgres

CATEGORIES = ("로맨스", "액션", "애니메이션", "코미디", "판타지", "드라마")
LISTS = {
    "tokens": "/api/tokens/",
    "latest": "/api/tokens/latest/",
    "popular": "/api/tokens/popular/",
    "sync-collection": "/api/tokens/sync-collection/",
    **{f"category {name}": f"/api/tokens/category/{quote(name)}/" for name in CATEGORIES},
    "duet scenes": "/api/duet/scenes",
}
SEARCHES = {
    "beginning": "톰",
    "inside": "하디",
    "initials": "ㅌㅎㄷ",
    "one letter": "a",
    "slip": "tom hardi",
    "nobody": "qqqqzzzz",
}
MELODIES = 50  # of 2,000 points each, which many scenes share
ALIASES = 4  # of an actor
SHOWN = 20  # entries of a list, as many as the small catalogue has
AT_ONCE = 16
SECONDS = 1.0  # per endpoint, for requests/s
START_SECONDS = 120.0  # of a service, on a machine that has other things to do


@dataclass(frozen=True)
class Site:
    """A catalogue that answers at `url`, to whoever has `bearer`; `tokens` is how many scenes it has."""

    url: str
    tokens: int
    bearer: str = ""


def names(rng: random.Random, count: int) -> Iterator[str]:
    """Different names, Korean and English in turns."""
    syllables = [chr(code) for code in range(0xAC00, 0xD7A4, 97)]
    parts = ["tom", "har", "dy", "em", "ma", "sto", "ne", "ka", "rin", "lee", "jo", "nas", "wil", "ber", "to"]
    for number in range(count):
        if number % 2:
            yield f"{rng.choice(syllables)} {rng.choice(syllables)}{rng.choice(syllables)}{number}"
        else:
            yield f"{''.join(rng.choices(parts, k=2)).title()} {''.join(rng.choices(parts, k=3)).title()} {number}"


async def fill(url: str, tokens: int) -> None:
    """`tokens` scenes with three lines each, ten words in three lines, as many aliases of a fourth as many actors."""
    rng = random.Random(tokens)
    actors = max(tokens // ALIASES, 1)
    films = max(tokens * 2 // 5, 1)
    called = list(names(rng, actors * (ALIASES + 1)))
    called[0], called[1] = "Tom Hardy", "톰 하디"
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))

    async def copy(table: str, columns: str, rows: Iterator[tuple[object, ...]]) -> None:
        await connection.copy_records_to_table(table, records=rows, columns=columns.split())

    def own(number: int) -> str:
        return called[number * (ALIASES + 1)]

    everyone = range(actors)
    await copy("urls", "id youtube_url", ((n, f"https://www.youtube.com/watch?v={n:011}") for n in range(1, films + 1)))
    await copy("actors", "id name folded", ((n + 1, own(n), fold(own(n))) for n in everyone))
    aliases = ((n + 1, called[n * (ALIASES + 1) + k]) for n in everyone for k in range(1, ALIASES + 1))
    await copy("actor_aliases", "actor_id name folded", ((n, name, fold(name)) for n, name in aliases))
    await copy(
        "tokens",
        "id token_name actor_name category start_time end_time s3_pitch_url s3_bgvoice_url url_id view_count version",
        (
            (
                n,
                f"Scene {n}",
                own(n % actors),
                rng.choice(CATEGORIES),
                10.0,
                rng.choice((22.0, 40.0)),
                f"pitch/{n % MELODIES}.json",
                "bgvoice.wav",
                rng.randint(1, films),
                rng.randint(0, 1000),
                n,
            )
            for n in range(1, tokens + 1)
        ),
    )
    await copy("token_actors", "token_id actor_id", ((n, n % actors + 1) for n in range(1, tokens + 1)))
    lines = tokens * 3
    said = (
        (n, (n - 1) // 3 + 1, 10.0 + n % 3 * 4, 14.0 + n % 3 * 4, "you could leave the", "번역", n) for n in range(1, lines + 1)
    )
    await copy("scripts", "id token_id start_time end_time script translation version", said)
    words = ((n, 10.0, 10.5, "word", 0.9) for n in range(1, lines + 1) for _ in range(4 if n % 3 == 0 else 3))
    await copy("words", "script_id start_time end_time word probability", words)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def store_objects(folder: Path) -> None:
    """The melodies and one background sound that the scenes hold."""
    storage = DiskStorage(folder, signing_key=b"bench" * 8, public_url="")
    await storage.start()

    async def put(key: str, content: bytes) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield content

        await storage.put(key, once(), media_type="application/json")

    melody = json.dumps([{"time": n / 100, "hz": 100 + n % 50} for n in range(2000)]).encode()
    for number in range(MELODIES):
        await put(f"pitch/{number}.json", melody)
    await put("bgvoice.wav", b"RIFF")


@contextmanager
def process(service: str, log: Path, **environment: str) -> Iterator[str]:
    """A service on a port of its own; its address."""
    port = free_port()
    own = {"LISTEN_PORT": str(port), "LOG_LEVEL": "ERROR", "BROKER_URL": "amqp://127.0.0.1:1/", **environment}
    with log.open("ab") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"], env={**os.environ, **own}, stdout=out, stderr=out
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(timeout=20)


async def until_answering(client: aiohttp.ClientSession, url: str) -> None:
    """Wait until a service answers at all."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with client.get(f"{url}/health/live"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def per_second(one: Callable[[], Awaitable[object]], at_once: int = AT_ONCE) -> float:
    """How many `one` a second, `at_once` at any moment."""
    done = 0
    end = time.perf_counter() + SECONDS

    async def keep_on() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await one()
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(keep_on() for _ in range(at_once)))
    return done / (time.perf_counter() - started)


def shown(values: list[float]) -> str:
    """p50/p99."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.1f}/{ordered[int(len(ordered) * 0.99)]:.1f}"


def head(*where: str) -> None:
    """The first two lines of the table of these sites."""
    print(f"\n| GET | {' | '.join(f'{each} p50/p99 ms' for each in where)} | {' | '.join(f'{each} /s' for each in where)} |")
    print(f"|---|{'---|' * 2 * len(where)}")


class Asking:
    """Asks each of the sites the same, and prints a line of the table for it."""

    def __init__(self, client: aiohttp.ClientSession, sites: list[Site], repeats: int) -> None:
        self.client = client
        self.sites = sites
        self._repeats = repeats

    async def ask(self, name: str, path: Callable[[Site], str]) -> None:
        """`path` of each site in turns, then of each as often as it can."""
        times: dict[Site, list[float]] = {site: [] for site in self.sites}
        for site in self.sites:
            for _ in range(5):  # connections, prepared statements, caches
                await self._once(site, path)
        for _ in range(self._repeats):
            for site in self.sites:
                times[site].append(await self._once(site, path))
        rates = [await per_second(partial(self._once, site, path)) for site in self.sites]
        cells = [*(shown(times[site]) for site in self.sites), *(f"{rate:.0f}" for rate in rates)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    async def cursor(self, site: Site, path: str) -> str:
        """Behind nine tenths of a list."""
        async with self.client.get(f"{site.url}{path}?skip={site.tokens * 9 // 10 - 1}&limit=1") as answer:
            return answer.headers["Link"].partition("after=")[2].partition("&")[0]

    async def _once(self, site: Site, path: Callable[[Site], str]) -> float:
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {site.bearer}"} if site.bearer else {}
        async with self.client.get(site.url + path(site), headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.url}: {answer.status} {body[:200]!r}")
        return (time.perf_counter() - started) * 1e3


async def reads(asking: Asking) -> None:
    """Lists, one scene, deep pages, searches."""
    head("small", "large", "large through the gateway")
    for name, path in LISTS.items():
        await asking.ask(name, partial(lambda path, _: f"{path}?limit={SHOWN}", path))
    rng = random.Random(1)
    await asking.ask("token detail", lambda site: f"/api/tokens/{rng.randint(1, site.tokens)}")
    for path in ("/api/tokens", "/api/tokens/popular"):
        after = {site: await asking.cursor(site, path) for site in asking.sites}
        await asking.ask(
            f"{path}, after 90 % by cursor",
            partial(lambda after, path, site: f"{path}?limit={SHOWN}&after={after[site]}", after, path),
        )
        await asking.ask(
            f"{path}, after 90 % by skip",
            partial(lambda path, site: f"{path}?limit={SHOWN}&skip={site.tokens * 9 // 10}", path),
        )
    for name, text in SEARCHES.items():
        await asking.ask(f"search {name}: {text}", partial(lambda text, _: f"/api/actors/search/{quote(text)}", text))


async def views(url: str, site: Site, client: aiohttp.ClientSession) -> None:
    """Views of one scene that everybody looks at, as we count them and as one would at first."""
    database = Database(url, source="bench")
    counter = Views(database)

    async def in_a_transaction() -> None:
        async with database.transaction() as tx:
            await repository.add_views(tx.connection, 1, 1)

    async def in_a_statement() -> None:
        async with database.autocommit() as connection:
            await repository.add_views(connection, 1, 1)

    async def over_http() -> None:
        async with client.post(f"{site.url}/api/tokens/1/view") as answer:
            await answer.read()

    print("\n| views/s of one scene, 64 at once | |\n|---|---|")
    for name, one in {
        "a transaction each": in_a_transaction,
        "a statement each": in_a_statement,
        "written together": lambda: counter.count(1),
        "the same over HTTP": over_http,
    }.items():
        print(f"| {name} | {await per_second(one, 64):.0f} |", flush=True)
    await database.close()


async def plans(url: str) -> None:
    """What PostgreSQL does for each kind of search text."""
    database = Database(url, source="bench")
    asked: list[tuple[str, object]] = []
    note = lambda connection, cursor, statement, parameters, *_: asked.append((statement, parameters))  # noqa: E731
    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    for name, text in SEARCHES.items():
        asked.clear()
        found = await Lists(database).find_actors(text, 10)
        print(f"\nsearch {name} ({text}): {len(found)} found")
        for statement, parameters in [each for each in asked if "folded" in each[0]]:
            async with database.engine.connect() as connection:
                explained = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {statement}"
                rows = (await connection.exec_driver_sql(explained, parameters)).scalars().all()  # type: ignore[arg-type]
            kept = [row.strip() for row in rows if "Scan" in row or "Execution" in row]
            print("  " + "\n  ".join(kept))
    await database.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100_000, help="scenes of the large catalogue")
    parser.add_argument("--repeats", type=int, default=60, help="timed requests per endpoint and site")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        postgres = PrivatePostgres(folder / "postgres", tcp=True)
        postgres.start()
        stack.callback(postgres.stop)
        urls = {tokens: postgres.create_database(f"catalog_{tokens}") for tokens in (20, options.tokens)}
        started = time.perf_counter()
        for tokens, url in urls.items():
            await upgrade("services.catalog", url)
            await fill(url, tokens)
        await store_objects(folder / "objects")
        print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)
        store = {"STORAGE_URL": f"file://{folder / 'objects'}"}
        sites = [
            Site(stack.enter_context(process("catalog", folder / "log", DATABASE_URL=url, **store)), tokens)
            for tokens, url in urls.items()
        ]
        gateway = process("gateway", folder / "log", CATALOG_URL=sites[1].url, GATEWAY_LIMITS_FACTOR="1000")
        sites.append(Site(stack.enter_context(gateway), options.tokens))
        async with aiohttp.ClientSession() as client:
            for site in sites:
                await until_answering(client, site.url)
            await reads(Asking(client, sites, options.repeats))
            await views(urls[options.tokens], sites[1], client)
        await plans(urls[options.tokens])


if __name__ == "__main__":
    uvloop.run(main())

"""How fast does what was committed get out, and does that depend on how many rows the outbox holds?

Throughput: a relay that finds everything unsent, against a bare loop over aio-pika that keeps as many confirms in flight, to
the same queue, in turn; medians of the rounds. Latency: 500 events a second, to the handler in another process from the
commit as its writer learns of it, and, in brackets, from the event's making, so with PostgreSQL's wait for the disk. Either
with rows that are kept after they were sent, and with a backlog. All processes are on this machine.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import sqlalchemy as sa
import uvloop
from pamqp.common import FieldTable

from libs.common.background import background
from libs.common.bus.base import Message
from libs.common.bus.rabbit import RabbitBus
from libs.common.bus.rabbit.codec import encode
from libs.common.bus.topology import EVENTS_EXCHANGE, Queue
from libs.common.contracts.base import Event
from libs.common.db import Database, Outgoing
from libs.common.outbox.relay import Relay
from libs.common.outbox.table import OUTBOX
from libs.common.outbox.window import WINDOW
from libs.common.outbox.writer import Change
from yousync.local.postgres import PrivatePostgres
from yousync.local.rabbitmq import PrivateRabbitMQ

HEARD = Queue("bench.heard", "bench", ("bench.measured",))
FILLED = "bench.filled"  # to a queue that forgets its oldest, so that the broker is the same at the end as at the start
BODY = 1_000  # bytes
RATE = 500  # events a second


class Measured(Event, name="bench.measured"):
    """Something of the usual size."""

    number: int
    padding: str = "x" * (BODY - 40)


NOTES = sa.table("notes", sa.column("number", sa.Integer))
NOTE = Change(sa.insert(NOTES).values(number=sa.bindparam("number")))


async def bare(url: str, messages: int) -> float:
    """Messages a second of aio-pika with `WINDOW` confirms in flight."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(EVENTS_EXCHANGE, ensure=False)
        template = Message.of(Measured(number=0), source="bench", subject="s", routing_key=FILLED)
        numbers = iter(range(messages))

        async def publish_on() -> None:
            for _ in numbers:
                await exchange.publish(encode(template), FILLED, mandatory=True, timeout=10.0)

        began = time.perf_counter()
        await asyncio.gather(*(publish_on() for _ in range(WINDOW)))
        return messages / (time.perf_counter() - began)


async def relayed(database: Database, bus: RabbitBus, messages: int) -> float:
    """Messages a second of a relay that finds at least `messages` unsent, from the first confirm to that of the last."""
    times: list[float] = []
    enough = asyncio.Event()
    relay = Relay(database, bus, service="bench")
    confirmed = relay._window._tell_confirmed

    def note() -> None:
        times.append(time.perf_counter())
        if len(times) == messages:
            enough.set()
        confirmed()

    relay._window._tell_confirmed = note
    async with background(relay.run()):
        await enough.wait()
    return (messages - 1) / (times[messages - 1] - times[0])


async def latencies(database: Database, writer: Database, bus: RabbitBus, url: str, events: int) -> str:
    """How long until each of `events` was handled, committed by `writer` while `database`'s process relays."""
    listener = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bus", "--listen", url, "--events", str(events), stdout=asyncio.subprocess.PIPE
    )
    assert listener.stdout is not None
    await listener.stdout.readline()  # it listens
    made, committed = [0.0] * events, [0.0] * events

    async def commit(number: int) -> None:
        made[number] = time.time()
        await writer.change(NOTE, {"number": number}, Outgoing(Measured(number=number), f"number:{number % 50}"))
        committed[number] = time.time()

    relay = Relay(database, bus, service="bench")
    async with background(relay.run()):
        await asyncio.sleep(3.0)  # it has its lease and has found nothing by then
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for number in range(events):
                await asyncio.sleep(began + number / RATE - asyncio.get_running_loop().time())
                group.create_task(commit(number))
        handled: list[float] = json.loads(await listener.stdout.read())
    await listener.wait()
    return f"{figures(committed, handled)} ({figures(made, handled)})"


async def listen(url: str, events: int) -> None:
    """The other process: hear `events` events, then print when each was handled (seconds since 1970)."""
    handled = [0.0] * events
    left = set(range(events))
    done = asyncio.Event()

    async def hear(message: Message) -> None:
        number = Measured.model_validate_json(message.body).number
        handled[number] = time.time()
        left.discard(number)
        if not left:
            done.set()

    bus = RabbitBus(url, name="bench listener")
    await bus.start()
    await bus.consume(HEARD, hear, concurrency=50)
    print("listening", flush=True)
    await done.wait()
    print(json.dumps(handled), flush=True)
    await bus.close()


async def fill(database: Database, rows: int, *, sent: bool) -> None:
    """Put rows into the outbox as they are after a while."""
    body = Measured(number=0).model_dump_json()
    insert = sa.text(
        f"""INSERT INTO outbox (message_id, type, source, subject, bucket, routing_key, must_route, body, sent_at)
            SELECT uuidv7(), 'bench.measured', 'bench', 'number:' || n, 0, '{FILLED}', true, CAST(:body AS bytea),
                   {"now()" if sent else "NULL"} FROM generate_series(1, :rows) AS n"""
    )
    async with database.engine.begin() as connection:
        await connection.execute(insert, {"rows": rows, "body": body.encode()})


async def empty(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("TRUNCATE outbox, notes"))


async def skip_to_the_last(database: Database, rows: int) -> None:
    """What a relay does with a backlog, as far as the table can tell, but at once."""
    async with database.engine.begin() as connection:
        last = "(SELECT max(id) FROM outbox) - :rows"
        mark = sa.text(f"UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL AND id <= {last}")
        await connection.execute(mark, {"rows": rows})


@asynccontextmanager
async def parts(folder: Path) -> AsyncIterator[tuple[Database, Database, RabbitBus, str]]:
    postgres, broker = PrivatePostgres(folder / "postgres"), PrivateRabbitMQ(folder / "rabbitmq", metrics=False)
    await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(broker.start))
    url = await asyncio.to_thread(postgres.create_database, "bench")
    database, another = (Database(url, source="bench") for _ in range(2))
    async with database.engine.begin() as connection:
        await connection.run_sync(OUTBOX.metadata.create_all)
        await connection.execute(sa.text("CREATE TABLE notes (number int)"))
    bus = RabbitBus(broker.amqp_url, name="bench")
    await bus.start()
    async with await aio_pika.connect(broker.amqp_url) as broker_connection:
        channel = await broker_connection.channel()
        forgetful: FieldTable = {"x-queue-type": "quorum", "x-max-length": 10_000, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(FILLED, durable=True, arguments=forgetful)
        await queue.bind(EVENTS_EXCHANGE, FILLED)
    try:
        yield database, another, bus, broker.amqp_url
    finally:
        await bus.close()
        for each in (database, another):
            await each.close()
        await asyncio.gather(asyncio.to_thread(postgres.stop), asyncio.to_thread(broker.stop))


def figures(starts: list[float], ends: list[float]) -> str:
    lags = [(end - start) * 1e3 for start, end in zip(starts, ends, strict=True)]
    cuts = statistics.quantiles(lags, n=100)
    return f"p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}, max {max(lags):.1f} ms"


def kept(most: int) -> Iterator[int]:
    yield from (rows for rows in (0, 10_000, 1_000_000) if rows <= most)


async def compare(database: Database, bus: RabbitBus, url: str, messages: int, rounds: int) -> str:
    """The relay and the bare loop in turn, each round with a backlog of `messages`."""
    relay, alone = [], []
    for _ in range(rounds):
        await fill(database, messages, sent=False)
        relay.append(await relayed(database, bus, messages))
        alone.append(await bare(url, messages))
    ours, theirs = statistics.median(relay), statistics.median(alone)
    return f"relay {ours:,.0f}/s, bare loop {theirs:,.0f}/s, ratio {ours / theirs:.2f}"


async def drain(database: Database, bus: RabbitBus, messages: int, rounds: int) -> list[float]:
    """Messages a second of a relay in the midst of a backlog."""
    return [await relayed(database, bus, messages) for _ in range(rounds)]


async def main(messages: int, rounds: int, events: int, most: int) -> None:
    with tempfile.TemporaryDirectory(prefix="yousync-bench-") as folder:
        async with parts(Path(folder)) as (database, another, bus, url):
            # The first runs warm up: both the broker and the database make the files of their logs once.
            await bare(url, messages)
            await latencies(database, database, bus, url, events)
            for rows in kept(most):
                await empty(database)
                await fill(database, rows, sent=True)
                print(f"{rows:>9,} kept: {await compare(database, bus, url, messages, rounds)}", flush=True)
                own = await latencies(database, database, bus, url, events)
                others = await latencies(database, another, bus, url, events)
                print(f"{rows:>9,} kept: to the handler {own}; of another process' commits {others}", flush=True)
            await empty(database)
            waiting = max(most, 2 * (rounds + 1) * messages)
            await fill(database, waiting, sent=False)
            first = await drain(database, bus, messages, rounds)
            await skip_to_the_last(database, (rounds + 1) * messages)
            last = await drain(database, bus, messages, rounds)
            rates = " and ".join(f"{statistics.median(rate):,.0f}/s" for rate in (first, last))
            print(f"{waiting:>9,} waiting: relay {rates} at the backlog's beginning and end", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="in each round of throughput")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=5_000, help="for each figure of latency")
    parser.add_argument("--most", type=int, default=1_000_000, help="rows in the outbox")
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        uvloop.run(listen(options.listen, options.events))
    else:
        uvloop.run(main(options.messages, options.rounds, options.events, options.most))

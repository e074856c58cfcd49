"""Looking at a broker: all of it by the management API, or what AMQP alone can tell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from libs.common.bus.rabbit.layout import Binding, Layout
from libs.common.bus.rabbit.link import broker_errors, close_channel
from yousync.topology.compare import Difference, Found, FoundExchange, FoundQueue, Kind
from yousync.topology.management import Management


async def by_management(management: Management, virtual_host: str, wanted: Layout) -> Found:
    """What the virtual host has. Raises `NoManagement`."""
    exchanges = {each["name"]: _exchange(each) for each in await management.read("exchanges", virtual_host)}
    queues = {each["name"]: _queue(each) for each in await management.read("queues", virtual_host)}
    bindings = await management.read("bindings", virtual_host)
    ours = [each for each in bindings if each["source"]]  # without those of the default exchange, which every queue has
    return Found(
        exchanges,
        queues,
        frozenset(
            Binding(each["source"], each["destination"], each["routing_key"])
            for each in ours
            if each["destination_type"] == "queue"
        ),
        sorted(
            f"{each['source']} -> {each['destination']} by {each['routing_key']!r}"
            for each in ours
            if each["destination_type"] == "exchange" and {each["source"], each["destination"]} & wanted.exchanges.keys()
        ),
    )


def _exchange(row: dict[str, Any]) -> FoundExchange:
    return FoundExchange(
        row["type"], row["durable"], row["auto_delete"], row["internal"], row["arguments"], row.get("policy") or ""
    )


def _queue(row: dict[str, Any]) -> FoundQueue:
    # A queue that got its type from a default has no argument for it.
    arguments = {"x-queue-type": row["type"], **row["arguments"]}
    policy = row.get("effective_policy_definition") or {}  # a list when there is none, and nothing until the broker counted
    return FoundQueue(arguments, row["durable"], row["auto_delete"], row["exclusive"], dict(policy))


async def by_amqp(connection: AbstractConnection, wanted: Layout) -> list[Difference]:
    """What is missing or was declared otherwise, of exchanges and queues; nothing about bindings, nothing unknown.

    Nothing is made. Raises `BusUnavailable`.
    """
    found: list[Difference] = []
    for name, kind in wanted.exchanges.items():
        async with _probe(connection, found, "exchange", name, kind) as channel:
            await channel.declare_exchange(name, kind, durable=True, passive=True)
            await channel.declare_exchange(name, kind, durable=True)
    for name, arguments in wanted.queues.items():
        async with _probe(connection, found, "queue", name, str(arguments["x-queue-type"])) as channel:
            await channel.declare_queue(name, passive=True)
            await channel.declare_queue(name, durable=True, arguments=dict(arguments))
    return found


@asynccontextmanager
async def _probe(
    connection: AbstractConnection, found: list[Difference], thing: str, name: str, kind: str
) -> AsyncIterator[AbstractChannel]:
    """A channel to ask about one thing; the broker closes it when the answer is no."""
    with broker_errors(f"looking at {name}"):
        channel = await connection.channel(publisher_confirms=False)
        try:
            yield channel
        except ChannelNotFoundEntity:
            found.append(Difference(Kind.MISSING, thing, name, kind))
        except ChannelPreconditionFailed as error:
            found.append(Difference(Kind.DIFFERS, thing, name, str(error)))
        finally:
            await close_channel(channel)

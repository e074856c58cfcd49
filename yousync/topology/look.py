"""Looking at a broker: all of it by the management API, or what AMQP alone can tell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from libs.common.bus.rabbit.layout import Binding, Layout
from libs.common.bus.rabbit.link import broker_errors, close_channel
from yousync.topology.compare import Difference, Found, FoundExchange, FoundQueue, Kind

ANSWER_SECONDS = 10.0


class NoManagement(Exception):
    """The management API cannot be asked; the text says why and leaks no password."""


async def by_management(url: str, virtual_host: str, wanted: Layout) -> Found:
    """What the virtual host has. Raises `NoManagement`."""
    address = URL(url)
    auth = httpx.BasicAuth(address.user or "guest", address.password or "guest")
    base = str(address.with_user(None))
    host = quote(virtual_host, safe="")
    async with httpx.AsyncClient(base_url=base, auth=auth, timeout=ANSWER_SECONDS, trust_env=False) as client:

        async def read(what: str) -> list[dict[str, Any]]:
            try:
                answer = await client.get(f"/api/{what}/{host}")
                answer.raise_for_status()
                rows: list[dict[str, Any]] = answer.json()
            except httpx.HTTPStatusError as error:
                raise NoManagement(_why(error.response.status_code, base, virtual_host)) from error
            except (httpx.HTTPError, ValueError) as error:
                raise NoManagement(f"{base} does not answer as a management API ({error!r})") from error
            return rows

        exchanges = {each["name"]: _exchange(each) for each in await read("exchanges")}
        queues = {each["name"]: _queue(each) for each in await read("queues")}
        bindings = await read("bindings")
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


def _why(status: int, base: str, virtual_host: str) -> str:
    if status in (401, 403):
        return f"{base} does not let this user in: it needs the tag `monitoring` or `management`"
    if status == 404:
        return f"{base} knows no virtual host {virtual_host!r}"
    return f"{base} answered {status}"


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

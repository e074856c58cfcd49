"""Making a broker what the code declares, without losing a message."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.bus.rabbit.declare import declare, declare_topology
from libs.common.bus.rabbit.layout import Layout
from libs.common.bus.rabbit.link import broker_errors, close_channel, connect, say_goodbye
from yousync.broker import Broker
from yousync.local.process import LocalServerError
from yousync.topology.compare import Difference, Kind, is_ours
from yousync.topology.management import open_management
from yousync.topology.users import compare_users, make_users

Tell = Callable[[str], None]


async def make_broker(broker: Broker) -> None:
    """Make a broker of ours all that the code declares, users too; again, it changes nothing.

    Raises LocalServerError where something is declared otherwise than it was.
    """
    try:
        connection = await connect(URL(broker.amqp_url), "yousync")
        try:
            async with _channel(connection, "declaring the topology") as channel:
                await declare_topology(channel, broker.retry_ladder)
        finally:
            await say_goodbye(connection)
    except BusUnavailable as error:
        raise LocalServerError(f"{error.detail} ({error.__cause__}): `yousync topology drift` tells more") from error
    of_users = (broker.passwords, broker.retry_ladder, broker.virtual_host)
    async with open_management(broker.management_url) as management:
        await make_users(management, await compare_users(management, *of_users), *of_users)


async def create(connection: AbstractConnection, missing: Iterable[Difference], wanted: Layout, tell: Tell) -> None:
    """Declare what is missing, and nothing that is there. Raises `BusUnavailable`."""
    for each in missing:
        async with _channel(connection, f"declaring {each.name}") as channel:
            if each.binding is not None:
                queue = await channel.get_queue(each.name, ensure=False)
                await queue.bind(each.binding.exchange, each.binding.routing_key)
            elif each.thing == "exchange":
                await declare(channel, Layout({each.name: wanted.exchanges[each.name]}, {}, []))
            else:
                await declare(channel, Layout({}, {each.name: wanted.queues[each.name]}, []))
        tell(f"{each}  -> made")


async def prune(connection: AbstractConnection, differences: Iterable[Difference], tell: Tell) -> None:
    """Delete what nothing declares, and queues that are declared otherwise, if nobody uses them and nothing is in them.

    Raises `BusUnavailable`.
    """
    bindings: list[Difference] = []
    queues: dict[str, Difference] = {}
    exchanges: list[Difference] = []
    for each in differences:
        if each.binding is not None and each.kind is Kind.UNKNOWN and is_ours(each.name):
            bindings.append(each)
        elif each.thing == "queue" and each.kind in (Kind.UNKNOWN, Kind.DIFFERS):
            queues.setdefault(each.name, each)
        elif each.thing == "exchange" and each.kind is Kind.UNKNOWN:
            exchanges.append(each)
    for name, each in queues.items():
        # What feeds a queue goes first: then it stays as empty as it was seen.
        feeding = [binding for binding in bindings if binding.name == name]
        await _if_idle(connection, each, feeding, tell)
        bindings = [binding for binding in bindings if binding.name != name]
    for each in bindings:
        async with _channel(connection, f"unbinding {each.name}") as channel:
            await _unbind(channel, each)
        tell(f"{each}  -> removed")
    for each in exchanges:
        await _delete_exchange(connection, each, tell)


async def _if_idle(connection: AbstractConnection, each: Difference, feeding: list[Difference], tell: Tell) -> None:
    async with _channel(connection, f"deleting {each.name}") as channel:
        # RabbitMQ 3.10 knows no "if unused" and "if empty" for quorum queues.
        if (why := await _in_use(channel, each.name)) is None:
            for binding in feeding:
                await _unbind(channel, binding)
            why = await _in_use(channel, each.name)
        if why is not None:
            tell(f"{each}  -> stays: {why}")
            return
        await channel.queue_delete(each.name)
    tell(f"{each}  -> deleted")


async def _in_use(channel: AbstractChannel, name: str) -> str | None:
    """Why the queue must stay; None when it need not."""
    declared = (await channel.declare_queue(name, passive=True)).declaration_result
    if declared.message_count:
        return f"{declared.message_count} messages are in it"
    if declared.consumer_count:
        return f"{declared.consumer_count} consumers read it"
    return None


async def _unbind(channel: AbstractChannel, each: Difference) -> None:
    assert each.binding is not None
    queue = await channel.get_queue(each.binding.queue, ensure=False)
    await queue.unbind(each.binding.exchange, each.binding.routing_key)


async def _delete_exchange(connection: AbstractConnection, each: Difference, tell: Tell) -> None:
    try:
        async with _channel(connection, f"deleting {each.name}") as channel:
            await channel.exchange_delete(each.name, if_unused=True)
    except BusUnavailable as error:
        tell(f"{each}  -> stays: {error.__cause__}")
    else:
        tell(f"{each}  -> deleted")


@asynccontextmanager
async def _channel(connection: AbstractConnection, doing: str) -> AsyncIterator[AbstractChannel]:
    """A channel for one piece of work; what goes wrong with it is `BusUnavailable`."""
    with broker_errors(doing):
        channel = await connection.channel(publisher_confirms=False)
        try:
            yield channel
        finally:
            await close_channel(channel)

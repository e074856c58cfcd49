"""What a broker can be made to do to its clients, through the tool that its operators have."""

import asyncio

from yousync.local.rabbitmq import PrivateRabbitMQ

ALARM, NO_ALARM = "0.000001", "0.4"  # of the machine's memory; the latter is the default

# The broker sends basic.cancel by itself only when a queue is gone with its messages, or loses its leader in a cluster. Here
# the process of the consumer's channel is asked to send it: the client is told the same, and nothing is lost.
_CANCEL = """
[rabbit_channel:send_command(Channel, {{'basic.cancel', Tag, true}})
 || [{{queue_name, {{resource, _, queue, <<"{queue}">>}}}}, {{channel_pid, Channel}}, {{consumer_tag, Tag}} | _]
    <- rabbit_amqqueue:consumers_all(<<"/">>)].
"""
_CRASH = """
{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
exit(amqqueue:get_pid(Queue), kill).
"""


class Broker:
    """The private broker of a fleet. One thing at a time: its callers hold the fleet's lock on the broker."""

    def __init__(self, node: PrivateRabbitMQ) -> None:
        self._node = node

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self._node.kill)

    async def start(self) -> None:
        """Start it again."""
        await asyncio.to_thread(self._node.start)

    def pause(self) -> None:
        """SIGSTOP."""
        self._node.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._node.resume()

    async def alarm(self, *, on: bool) -> None:
        """The memory alarm: publishers are blocked."""
        await self._control("set_vm_memory_high_watermark", ALARM if on else NO_ALARM)

    async def cancel_consumers(self, queue: str) -> int:
        """Tell the consumers of `queue` that they are none any more. Returns how many were told."""
        return (await self._control("eval", _CANCEL.format(queue=queue))).count("ok")

    async def crash_queue(self, queue: str) -> None:
        """Kill the process of a classic queue; the broker starts it again from the disk."""
        await self._control("eval", _CRASH.format(queue=queue))

    async def consumers(self) -> dict[str, int]:
        """Consumers by queue."""
        listed = await self._control("list_queues", "name", "consumers", "--quiet", "--no-table-headers")
        return {name: int(count) for name, count in (line.split("\t") for line in listed.splitlines())}

    async def _control(self, *arguments: str) -> str:
        return await asyncio.to_thread(self._node.control, *arguments)

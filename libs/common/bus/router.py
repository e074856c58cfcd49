"""From a message to a typed use case: decode once, call once, let the bus decide what a failure means."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from libs.common.bus.base import Message, Reject
from libs.common.contracts.base import Event

E = TypeVar("E", bound=Event)


class Router:
    """Maps event types to handlers `(event, message) -> None`. One router per queue.

    A message of a type that has no handler, or whose body does not fit its model, is rejected to the dead letters:
    somebody bound the queue to something it does not understand, and retrying would not help.
    """

    def __init__(self) -> None:
        self._routes: dict[str, tuple[type[Event], Callable[[Any, Message], Awaitable[None]]]] = {}

    def on(self, event: type[E], handler: Callable[[E, Message], Awaitable[None]]) -> None:
        """Call `handler` for messages of type `event.name`."""
        if event.name in self._routes:
            raise ValueError(f"{event.name} has a handler already")
        self._routes[event.name] = (event, handler)

    async def __call__(self, message: Message) -> None:
        """Handle one message (this is the bus' `Handler`)."""
        route = self._routes.get(message.type)
        if route is None:
            raise Reject(f"no handler for {message.type!r}")
        model, handler = route
        try:
            event = model.model_validate_json(message.body)
        except ValidationError as error:
            raise Reject(f"{message.type} does not fit its contract: {error}") from error
        await handler(event, message)

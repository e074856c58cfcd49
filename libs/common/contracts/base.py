"""The base of all events: a frozen model with a name, and the registry that turns a name back into its model."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

_registry: dict[str, "type[Event]"] = {}


class Event(BaseModel):
    """A fact in the past tense. Unknown fields are ignored, so that a producer may add; a breaking change is a new name.

    Subclass with the published name: `class AudioUploaded(Event, name="audio.uploaded")`. The name is the routing key.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ClassVar[str]
    # False only for facts that may have no consumer yet: everything else that no queue receives is an error at publish.
    must_route: ClassVar[bool] = True

    def __init_subclass__(cls, *, name: str | None = None, must_route: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is None:
            return  # an intermediate base
        if name in _registry:
            raise TypeError(f"event name {name!r} is declared twice: {_registry[name].__qualname__}, {cls.__qualname__}")
        cls.name = name
        cls.must_route = must_route
        _registry[name] = cls


def event_type(name: str) -> type[Event] | None:
    """The model of the event called `name`, or None when nobody declared it (in the modules imported so far)."""
    return _registry.get(name)


def declared_events() -> dict[str, type[Event]]:
    """Every event declared in the modules imported so far, by name."""
    return dict(_registry)

"""How much of each cost one address and one user may cause in a minute.

Defaults allow a classroom behind one address: 30 learners who upload a take every two seconds, each with a page that asks
again and again. A single user is far below what a person can do, and far above what a script should.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from services.gateway.routes import Cost

SECONDS = 60  # the window

PER_ADDRESS: Mapping[Cost, int] = MappingProxyType(
    {
        Cost.READ: 6000,
        Cost.SEARCH: 1200,
        Cost.WRITE: 1800,
        Cost.UPLOAD: 900,
        Cost.SIGN_IN: 300,  # 30 learners sign in within a minute, in three calls each; then each asks 4 times an hour
        Cost.STREAM: 1200,
        Cost.REPORT: 6000,  # an analysis server tells progress, and all its jobs come from one address
        Cost.UNKNOWN: 240,
    }
)
# Who sends reports is no user, and what is unknown costs the same whoever asks for it.
PER_USER: Mapping[Cost, int] = MappingProxyType(
    {
        Cost.READ: 1200,
        Cost.SEARCH: 240,
        Cost.WRITE: 300,
        Cost.UPLOAD: 60,
        Cost.SIGN_IN: 60,
        Cost.STREAM: 240,
    }
)


def _by_cost(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): amount.strip() for name, _, amount in parts}


def _positive(value: Mapping[Cost, int]) -> Mapping[Cost, int]:
    if any(amount < 1 for amount in value.values()):
        raise ValueError("must be at least 1 each")
    return value


# `read=6000,upload=900`: what is not named stays as it is.
Rates = Annotated[dict[Cost, int], NoDecode, BeforeValidator(_by_cost), AfterValidator(_positive)]

"""The platforms of the contract tests, and the two forms of every path."""

from collections.abc import Callable, Iterator

import pytest

from tests.contract.site import Site, open_site
from tests.e2e.platforms import Embedded, Fleet, Platform

Opened = Callable[[Platform], Site]


@pytest.fixture(scope="session")
def opened() -> Iterator[Opened]:
    """The site of a platform; each platform gets the contract's catalogue once."""
    sites: dict[str, Site] = {}

    def of(platform: Platform) -> Site:
        if platform.url not in sites:
            sites[platform.url] = open_site(platform)
        return sites[platform.url]

    yield of
    for site in sites.values():
        site.close()


@pytest.fixture(scope="session")
def site(platform: Embedded | Fleet, opened: Opened) -> Site:
    """Both kinds of platform, one after the other, with the contract's catalogue."""
    return opened(platform)


@pytest.fixture(scope="session")
def house(embedded: Embedded, opened: Opened) -> Site:
    """The embedded one, for what is the same on the fleet or costs too much there."""
    return opened(embedded)


@pytest.fixture(params=["", "/"], ids=["bare", "slash"])
def form(request: pytest.FixtureRequest) -> str:
    """How a path ends: existing clients use both forms, and neither is redirected."""
    ending: str = request.param
    return ending

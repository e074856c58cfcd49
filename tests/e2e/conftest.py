"""One embedded platform and one fleet for all end-to-end tests of a run."""

from collections.abc import Iterator

import pytest

from tests.e2e.platforms import Embedded, Fleet


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """The embedded platform with the sample catalogue."""
    platform = Embedded(tmp_path_factory.mktemp("embedded") / "state")
    platform.start()
    try:
        platform.import_samples()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet with the sample catalogue."""
    platform = Fleet(tmp_path_factory.mktemp("fleet") / "state")
    try:
        platform.start()
        platform.import_samples()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session", params=["embedded", "fleet"])
def platform(request: pytest.FixtureRequest) -> Embedded | Fleet:
    """Each kind of platform, one after the other."""
    chosen: Embedded | Fleet = request.getfixturevalue(request.param)
    return chosen

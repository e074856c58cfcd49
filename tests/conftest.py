"""Real servers for the tests that ask for them. Each starts once a run, and only when the first test needs it."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.platforms import Embedded, Fleet
from yousync.local.postgres import PrivatePostgres
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.local.s3 import PrivateS3


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers, a file stays with one of them, and so does all that shares a platform."""
    for item in items:
        assert isinstance(item, pytest.Function)
        chosen = item.callspec.params.get("platform") if hasattr(item, "callspec") else None
        shared = [name for name in ("fleet", "embedded") if name == chosen or name in item.fixturenames]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else str(item.path)))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A PostgreSQL server that does not wait for disks."""
    server = PrivatePostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def make_database(postgres: PrivatePostgres) -> Callable[[str], str]:
    """`make_database("audio")` makes an empty database with an owner of its own each time; the SQLAlchemy URL of it."""
    numbers = itertools.count(1)
    return lambda name: postgres.create_database(f"{name}_{next(numbers)}")


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """A RabbitMQ node; as root on Debian its package is installed when it is missing."""
    node = PrivateRabbitMQ(tmp_path_factory.mktemp("rabbitmq"), metrics=False)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateS3]:
    """An S3 API with one empty bucket."""
    server = PrivateS3(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """The embedded platform with the sample catalogue, one for all tests of a run."""
    platform = Embedded(tmp_path_factory.mktemp("embedded") / "state")
    platform.start()
    try:
        platform.import_samples()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet with the sample catalogue, one for all tests of a run."""
    platform = Fleet(tmp_path_factory.mktemp("fleet") / "state")
    try:
        platform.start()
        platform.import_samples()
        yield platform
        # Each service had what it needs: what is refused beyond that is in tests/deploy.
        assert platform.refusals() == []
    finally:
        platform.stop()


@pytest.fixture(scope="session", params=["embedded", "fleet"])
def platform(request: pytest.FixtureRequest) -> Embedded | Fleet:
    """Each kind of platform, one after the other."""
    chosen: Embedded | Fleet = request.getfixturevalue(request.param)
    return chosen

"""A broker with its management API for each file: users are the whole node's."""

from collections.abc import Iterator

import pytest

from yousync.local.rabbitmq import PrivateRabbitMQ


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    node = PrivateRabbitMQ(tmp_path_factory.mktemp("managed"))
    node.start()
    yield node
    node.kill()
    node.stop()

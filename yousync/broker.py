"""Which RabbitMQ an operator's tool is to work on."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from pydantic import ValidationError
from yarl import URL

from libs.common.bus.base import BusUnavailable
from libs.common.settings import BusSettings
from libs.common.telemetry import configure_logging
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.options import Options
from yousync.topology.rights import USERS
from yousync.topology.users import password_variable

# Where the management plugin listens unless it is told otherwise.
MANAGEMENT_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Broker:
    """Addresses with credentials; not for the log."""

    amqp_url: str
    management_url: str  # it may be that nobody answers there
    retry_ladder: tuple[float, ...]  # seconds, as the services have it
    passwords: Mapping[str, str]  # of the services' users; empty where all have one user

    @property
    def virtual_host(self) -> str:
        """As RabbitMQ has it: `amqp://host/` and `amqp://host` both mean `/`, `amqp://host/%2f` too."""
        return URL(self.amqp_url).path.removeprefix("/") or "/"

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return str(URL(self.amqp_url).with_user(None))


def find_broker(options: Options) -> Broker:
    """The broker of BROKER_URL, else that of the fleet in STATE_DIR. Raises LocalServerError with what to do.

    Its management API is at BROKER_MANAGEMENT_URL, else at the usual port of the same host with the same credentials. The
    passwords of services are in <USER>_BROKER_PASSWORD, all of them or none.
    """
    try:
        ladder = BusSettings().retry_ladder
    except ValidationError as error:
        raise LocalServerError("; ".join(fault["msg"] for fault in error.errors())) from None
    if options.broker_url is not None:
        url = options.broker_url.get_secret_value()
        if URL(url).scheme not in MANAGEMENT_PORTS:
            raise LocalServerError("BROKER_URL must begin with amqp:// or amqps://")
        given = options.broker_management_url
        management = given.get_secret_value() if given else _usual_management(URL(url))
        return Broker(url, management, ladder, _given_passwords(os.environ))
    node = PrivateRabbitMQ(options.state_dir / "rabbitmq")
    if not node.find():
        raise LocalServerError(
            f"there is no broker: BROKER_URL is not set, and no fleet runs in {options.state_dir} (STATE_DIR=). What runs by "
            "`yousync up` has its queues and dead letters in its own memory and shows them only in its log; to work on them, "
            "run it with BROKER_URL=, or as a fleet (`yousync fleet up`)."
        )
    return Broker(node.amqp_url, node.management_url, ladder, node.passwords(USERS))


def on_broker(work: Callable[[Broker], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on the broker that the environment names; a failure is told at the terminal and ends with exit code 1."""
    address = "the broker"
    try:
        options = Options()
        configure_logging("yousync", level=options.log_level)
        broker = find_broker(options)
        address = broker.shown
        return asyncio.run(work(broker))
    except (LocalServerError, ValidationError) as error:
        problem = str(error)
    except BusUnavailable as error:
        problem = f"{address}: {error.detail} ({error.__cause__ or 'it said no more'})"
    typer.secho(problem, fg=typer.colors.RED, err=True)
    raise typer.Exit(1)


def _given_passwords(environment: Mapping[str, str]) -> dict[str, str]:
    given = {user: environment.get(password_variable(user), "") for user in USERS}
    missing = [password_variable(user) for user, password in given.items() if not password]
    if not any(given.values()):
        return {}
    if missing:
        raise LocalServerError(f"some services would have no user: {', '.join(missing)} are not set")
    return given


def _usual_management(url: URL) -> str:
    scheme, port = MANAGEMENT_PORTS[url.scheme]
    return str(URL.build(scheme=scheme, user=url.user, password=url.password, host=url.host or "", port=port))

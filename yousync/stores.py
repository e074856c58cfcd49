"""Where the databases and the broker of a running platform are, for the tools that look at them from outside.

Each is named by the environment, or found in the state folder of a platform on this machine, whether its services run or not.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import make_url

from libs.common.bus.topology import RETRY_LADDER
from libs.common.settings import BusSettings
from yousync.environment import OWNS_DATABASE
from yousync.local.postgres import OPERATOR, PrivatePostgres
from yousync.local.process import LocalServerError
from yousync.local.rabbitmq import PrivateRabbitMQ
from yousync.options import Options


@dataclass(frozen=True, slots=True)
class Stores:
    """Addresses. `broker_url` is None for the in-memory bus, which nobody sees from outside, and for a broker that is down."""

    database_urls: Mapping[str, str]  # by service, as asyncpg and libpq take them: postgresql://
    broker_url: str | None
    retry_ladder: tuple[float, ...] = RETRY_LADDER  # seconds
    broker_down: str = ""  # which broker should run and does not, for a person


def find_stores(options: Options, environment: Mapping[str, str] = os.environ) -> Stores:
    """The stores of the platform that `options` and `environment` name, for whoever looks. Raises LocalServerError.

    Databases: <SERVICE>_DATABASE_URL each, else those beside DATABASE_URL (`<name>_<service>`), else those in STATE_DIR.
    Broker: BROKER_URL, else the one in STATE_DIR. Rungs: RETRY_LADDER.
    """
    urls = {service: environment.get(f"{service.upper()}_DATABASE_URL") or "" for service in OWNS_DATABASE}
    if missing := [service for service, url in urls.items() if not url]:
        urls |= _beside(options.database_url.get_secret_value(), missing) if options.database_url else _kept(options, missing)
    plain = {service: _plain(url) for service, url in urls.items()}
    broker_url, down = _broker(options)
    return Stores(plain, broker_url, BusSettings().retry_ladder, down)


def find_database(service: str, options: Options, environment: Mapping[str, str] = os.environ) -> str:
    """As in `find_stores`, the database of one service, for who changes what is in it as that service does."""
    if url := environment.get(f"{service.upper()}_DATABASE_URL"):
        return _plain(url)
    if options.database_url is not None:
        return _plain(_beside(options.database_url.get_secret_value(), [service])[service])
    return _plain(_kept(options, [service], role=f"yousync_{service}_service")[service])


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _beside(url: str, services: list[str]) -> dict[str, str]:
    base = make_url(url)
    names = {service: base.set(database=f"{base.database or 'yousync'}_{service}") for service in services}
    return {service: name.render_as_string(hide_password=False) for service, name in names.items()}


def _kept(options: Options, services: list[str], *, role: str = OPERATOR) -> dict[str, str]:
    postgres = PrivatePostgres(options.state_dir / "postgres")
    if not postgres.find():
        variables = ", ".join(f"{service.upper()}_DATABASE_URL" for service in services)
        raise LocalServerError(
            f"no PostgreSQL runs in {options.state_dir}: name another folder with STATE_DIR=, or the databases with {variables}"
        )
    return {service: postgres.url(f"yousync_{service}", role) for service in services}


def _broker(options: Options) -> tuple[str | None, str]:
    if options.broker_url is not None:
        return options.broker_url.get_secret_value(), ""
    folder = options.state_dir / "rabbitmq"
    if not folder.exists():
        return None, ""
    broker = PrivateRabbitMQ(folder)
    return (broker.amqp_url, "") if broker.find() else (None, f"the broker in {folder} does not run")
